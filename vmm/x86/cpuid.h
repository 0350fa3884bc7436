/* What CPUID tells a guest: the host's features as far as KVM supports them, made into our machine. */
#ifndef HEARTH_VMM_X86_CPUID_H
#define HEARTH_VMM_X86_CPUID_H

#include <linux/kvm.h>
#include <stdbool.h>
#include <stdint.h>

enum { CPUID_ENTRIES_MAX = 256 };

/* A struct kvm_cpuid2 with room for its entries. */
struct cpuid_table {
	struct kvm_cpuid2 head;
	struct kvm_cpuid_entry2 entries[CPUID_ENTRIES_MAX];
};

/*
 * Turns KVM_GET_SUPPORTED_CPUID's table into that of vCPU `id` of `n_vcpus`: topology of one package with a core a
 * vCPU, KVM's clock, no nested virtualization, no PMU. 0 or -ENOSPC.
 */
int cpuid_make(struct cpuid_table *table, unsigned id, unsigned n_vcpus);

/*
 * Can a host that supports `host` (KVM_GET_SUPPORTED_CPUID) continue a guest that was given `wanted`? Same vendor, and
 * no feature that the host lacks or that cpuid_make() hides; if not, *leaf is where.
 */
bool cpuid_is_offered(const struct cpuid_table *wanted, const struct cpuid_table *host, uint32_t *leaf);

#endif
