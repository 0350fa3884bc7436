/*
 * Enters pages into the nested page tables before the guest needs them. Newer kernels have an ioctl for it
 * (KVM_PRE_FAULT_MEMORY, 6.11); this works on all: a vCPU that the guest does not have reads the pages
 * (prefetch_guest.S). It is kept for as long as the VM lives:
 * KVM drops nested page tables that no vCPU uses, and those of a vCPU whose registers are restored count as unused.
 */
#include "vmm/arch.h"

#include "vmm/machine.h"
#include "vmm/x86/prefetch_guest.h"

#include <errno.h>
#include <linux/kvm.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

enum {
	CR0_PE_ET_NE_PG = (int)0x80000031,
	CR4_PAE = 0x20,
	EFER_LME_LMA = 0x500,
	EXITS_MAX = 1000, /* signals, host housekeeping */
};

extern uint8_t prefetch_guest[PREFETCH_SIZE];

_Static_assert(PREFETCH_BASE == MACHINE_PREFETCH_BASE, "one place");

static int set_state(int vcpu_fd, gpa_t list, uint32_t n_pages)
{
	const struct kvm_segment code = {
		.selector = 0x8, .limit = UINT32_MAX, .type = 0xb, .present = 1, .l = 1, .s = 1, .g = 1
	};
	const struct kvm_segment data = {
		.selector = 0x10, .limit = UINT32_MAX, .type = 0x3, .present = 1, .db = 1, .s = 1, .g = 1
	};
	struct kvm_mp_state running = { .mp_state = KVM_MP_STATE_RUNNABLE }; /* it would wait for its wake-up call */
	struct kvm_regs regs = { .rip = PREFETCH_BASE, .rsi = list, .rcx = n_pages, .rflags = 2 };
	struct kvm_sregs sregs;

	if (kvm_call(vcpu_fd, KVM_SET_MP_STATE, &running) < 0 || kvm_call(vcpu_fd, KVM_GET_SREGS, &sregs) < 0)
		return -errno;
	sregs.cs = code;
	sregs.ds = sregs.es = sregs.ss = data;
	sregs.tr = (struct kvm_segment) { .limit = 0x67, .type = 0xb, .present = 1 };
	sregs.cr0 = (uint32_t)CR0_PE_ET_NE_PG;
	sregs.cr3 = PREFETCH_TABLES;
	sregs.cr4 = CR4_PAE;
	sregs.efer = EFER_LME_LMA;
	if (kvm_call(vcpu_fd, KVM_SET_SREGS, &sregs) < 0 || kvm_call(vcpu_fd, KVM_SET_REGS, &regs) < 0)
		return -errno;
	return 0;
}

static int run(int vcpu_fd, struct kvm_run *run)
{
	for (int i = 0; i < EXITS_MAX; i++) {
		if (ioctl(vcpu_fd, KVM_RUN, 0) < 0) {
			if (errno == EINTR || errno == EAGAIN)
				continue;
			return -errno;
		}
		if (run->exit_reason == KVM_EXIT_IO && run->io.port == PREFETCH_DONE_PORT)
			return 0;
		if (run->exit_reason != KVM_EXIT_INTR)
			return -EPROTO;
	}
	return -ETIME;
}

static int read_all(int vcpu_fd, struct kvm_run *shared, const struct arch_page_list *lists, unsigned n)
{
	int status = 0;

	for (unsigned i = 0; i < n && status == 0; i++) {
		if (lists[i].n_pages == 0)
			continue;
		status = set_state(vcpu_fd, lists[i].start, lists[i].n_pages);
		if (status == 0)
			status = run(vcpu_fd, shared);
	}
	return status;
}

/*
 * Not read-only: to AMD's processors each step through a guest's page tables is a write to them. A guest that writes there
 * changes its VMM's own copy, after it was of use.
 */
int arch_prefetch_prepare(struct kvm *kvm, struct error *err)
{
	return kvm_add_memory(kvm, MACHINE_PREFETCH_BASE, PREFETCH_SIZE, prefetch_guest, false, err);
}

int arch_prefetch(const struct kvm *kvm, unsigned spare_vcpu_id, const struct arch_page_list *lists, unsigned n_lists,
		  struct error *err)
{
	int fd = kvm_call_number(kvm->vm_fd, KVM_CREATE_VCPU, spare_vcpu_id);
	int status;
	struct kvm_run *shared;

	if (fd < 0)
		return error_set(err, errno, "KVM cannot create a vCPU to prefetch with: %s", strerror(errno));
	shared = mmap(NULL, kvm->run_size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	status = shared == MAP_FAILED ? -errno : read_all(fd, shared, lists, n_lists);
	if (shared != MAP_FAILED)
		munmap(shared, kvm->run_size);
	if (status == 0)
		return fd;
	close(fd);
	return error_set(err, -status, "the working set cannot be prefetched: %s", strerror(-status));
}
