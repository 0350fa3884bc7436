/* What KVM counts of a vCPU (Documentation/virt/kvm/api.rst, KVM_GET_STATS_FD). */
#ifndef HEARTH_VMM_KVM_STATS_H
#define HEARTH_VMM_KVM_STATS_H

#include <stdint.h>

/* The value of the counter `name` (such as "exits") of the vCPU; 0 if this kernel does not have it (before 5.14). */
uint64_t kvm_stats_read(int vcpu_fd, const char *name);

#endif
