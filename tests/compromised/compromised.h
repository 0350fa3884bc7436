/*
 * A hearth-vmm that its guest has taken over: it makes the system calls that it is told to. Built as a program of its own
 * (build/hearth-vmm-compromised), for tests; nothing of it is in hearth-vmm.
 */
#ifndef HEARTH_TESTS_COMPROMISED_H
#define HEARTH_TESTS_COMPROMISED_H

#include "vmm/event_loop.h"

/* Before the jail: listens at `vsock_path`.orders. */
void compromised_open(const char *vsock_path);

/* In the jail, with all filters on: takes orders in `loop`, in the main thread. */
void compromised_start(struct event_loop *loop);

#endif
