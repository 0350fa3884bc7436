/* --probe: can this machine's KVM run guests at a useful speed? */
#ifndef HEARTH_VMM_PROBE_H
#define HEARTH_VMM_PROBE_H

#include "common/error.h"

/*
 * Runs a small guest in long mode: a loop in ring 0 and the same loop in ring 3, a SYSCALL, and a page fault taken by its
 * own IDT. Some hosts open /dev/kvm and answer every ioctl, but emulate ring 0 or lose the SYSCALL. 0, or negative with
 * the reason in *err. Never takes more than a few seconds.
 */
int probe_kvm(struct error *err);

#endif
