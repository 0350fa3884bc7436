/*
 * /dev/kvm and the ioctls of one VM. Extensions are checked once, here, with messages for people.
 */
#ifndef HEARTH_VMM_KVM_H
#define HEARTH_VMM_KVM_H

#include "common/error.h"
#include "vmm/guest_memory.h"

#include <stdbool.h>
#include <stdint.h>

struct kvm {
	int fd;          /* /dev/kvm */
	int vm_fd;       /* -1 until kvm_create_vm() */
	size_t run_size; /* bytes of a vCPU's struct kvm_run mapping */
	uint32_t n_memslots;
};

/*
 * ioctl() on a descriptor of KVM, counted: what a restore costs is told in calls too, which do not depend on the machine's
 * speed. Returns what ioctl() does. KVM_RUN is not called by it.
 */
int kvm_call(int fd, unsigned long request, void *argument);
int kvm_call_number(int fd, unsigned long request, unsigned long argument);
uint64_t kvm_n_calls(void);

/* All return 0, or negative with *err set. */
int kvm_open(struct kvm *kvm, struct error *err);
void kvm_close(struct kvm *kvm);
int kvm_create_vm(struct kvm *kvm, struct error *err);

/* Shows [start, start + size) of the guest the memory at `host`. Before kvm_create_irqchip(): after it, it is slow. */
int kvm_add_memory(struct kvm *kvm, gpa_t start, uint64_t size, const void *host, bool is_read_only, struct error *err);

/*
 * Lets the guest's HLT halt the processor itself. Before any vCPU. For recording a working set: KVM then resolves each
 * page fault as what it is; otherwise it hands those that wait to a worker, which always faults for writing.
 */
int kvm_disable_halt_exits(struct kvm *kvm, struct error *err);

/* PIC, I/O APIC and local APICs in the kernel. Before any vCPU. No PIT: our guests use the local APIC's timer. */
int kvm_create_irqchip(struct kvm *kvm, struct error *err);

/* A signal on the eventfd raises an edge on the I/O APIC's pin. */
int kvm_assign_interrupt(struct kvm *kvm, int eventfd, unsigned pin, struct error *err);

/* A four-byte write to the address signals the eventfd and does not leave the kernel. */
int kvm_assign_notification(struct kvm *kvm, int eventfd, gpa_t address, struct error *err);

#endif
