/*
 * What a processor architecture provides; x86/ has the only one so far. The rest of the VMM knows no registers.
 */
#ifndef HEARTH_VMM_ARCH_H
#define HEARTH_VMM_ARCH_H

#include "common/error.h"
#include "vmm/guest_memory.h"
#include "vmm/kvm.h"
#include "vmm/snapshot/state_file.h"

#include <stddef.h>

struct vcpu;
struct vcpus;

/*
 * Puts kernel, command line (the platform's own part, then `cmdline`) and device tree into the guest's memory, which
 * must be fresh. *entry is where the boot vCPU starts.
 */
int arch_load(const struct guest_memory *memory, const char *kernel_path, const char *cmdline, const void *device_tree,
	      size_t device_tree_size, gpa_t *entry, struct error *err);

/* Features and registers of a vCPU that was just created; `entry` counts for the boot vCPU, 0, alone. */
int arch_vcpu_init(const struct kvm *kvm, const struct vcpu *vcpu, unsigned n_vcpus, gpa_t entry, struct error *err);

/* Puts the state of all vCPUs, interrupt controllers and the clock into sections. The VM is paused. */
int arch_save(const struct kvm *kvm, const struct vcpus *vcpus, struct state_writer *writer, struct error *err);

/*
 * Gives vCPUs that were just created, and the VM, the state of a snapshot. Refuses one that this host's processor cannot
 * continue. Interrupts that are raised before this are lost.
 */
int arch_restore(const struct kvm *kvm, const struct vcpus *vcpus, struct state_reader *reader, struct error *err);

/* Page numbers (u32, below 4 GiB, all in RAM) that stand at `start` of the guest. */
struct arch_page_list {
	gpa_t start;
	uint32_t n_pages;
};

/* Shows the guest the code that arch_prefetch() runs. Before the interrupt controllers, like all memory. */
int arch_prefetch_prepare(struct kvm *kvm, struct error *err);

/*
 * Has the pages of all lists entered into the nested page tables, readable or, where the host's page is writable,
 * writable. Makes a vCPU of the id `spare_vcpu_id`, which must never run again, and returns its descriptor, to be kept
 * open; negative with *err set.
 */
int arch_prefetch(const struct kvm *kvm, unsigned spare_vcpu_id, const struct arch_page_list *lists, unsigned n_lists,
		  struct error *err);

/* To be called when vCPUs are about to run on after a pause. */
void arch_resumed(const struct vcpus *vcpus);

#endif
