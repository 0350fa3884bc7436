/*
 * Enters pages into the nested page tables before the guest needs them. Newer kernels have an ioctl for it
 * (KVM_PRE_FAULT_MEMORY, 6.11); this works on all: a vCPU that the guest does not have reads the pages. It runs in
 * protected mode without paging, so it needs no page tables, and reaches 4 GiB. It is kept for as long as the VM lives:
 * KVM drops nested page tables that no vCPU uses, and those of a vCPU whose registers are restored count as unused.
 */
#include "vmm/arch.h"

#include <errno.h>
#include <linux/kvm.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

enum {
	DONE_PORT = 0x80,
	CR0_PE_ET_NE = 0x31,
	EXITS_MAX = 1000, /* signals, host housekeeping */
};

/* esi: the list, ecx: its length, not 0. */
static const uint8_t reader[] = {
	0xad,                  /* next: lodsd */
	0xc1, 0xe0,      0x0c, /* shl $12, %eax */
	0x8a, 0x10,            /* mov (%eax), %dl */
	0xe2, 0xf8,            /* loop next */
	0xe6, DONE_PORT,       /* out %al, $DONE_PORT */
	0xf4,                  /* hlt */
};

static int set_state(int vcpu_fd, gpa_t code, gpa_t list, uint32_t n_pages)
{
	const struct kvm_segment flat = { .limit = UINT32_MAX, .present = 1, .db = 1, .s = 1, .g = 1 };
	struct kvm_regs regs = { .rip = code, .rsi = list, .rcx = n_pages, .rflags = 2 };
	struct kvm_mp_state running = { .mp_state = KVM_MP_STATE_RUNNABLE }; /* it would wait for its wake-up call */
	struct kvm_sregs sregs;

	if (kvm_call(vcpu_fd, KVM_SET_MP_STATE, &running) < 0 || kvm_call(vcpu_fd, KVM_GET_SREGS, &sregs) < 0)
		return -errno;
	sregs.cs = sregs.ds = sregs.es = sregs.ss = flat;
	sregs.cs.selector = 0x8;
	sregs.cs.type = 0xb;
	sregs.ds.selector = sregs.es.selector = sregs.ss.selector = 0x10;
	sregs.ds.type = sregs.es.type = sregs.ss.type = 0x3;
	sregs.cr0 = CR0_PE_ET_NE;
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
		if (run->exit_reason == KVM_EXIT_IO && run->io.port == DONE_PORT)
			return 0;
		if (run->exit_reason != KVM_EXIT_INTR)
			return -EPROTO;
	}
	return -ETIME;
}

static int read_all(int vcpu_fd, struct kvm_run *shared, gpa_t code, const struct arch_page_list *lists, unsigned n)
{
	int status = 0;

	for (unsigned i = 0; i < n && status == 0; i++) {
		if (lists[i].n_pages == 0)
			continue;
		status = set_state(vcpu_fd, code, lists[i].start, lists[i].n_pages);
		if (status == 0)
			status = run(vcpu_fd, shared);
	}
	return status;
}

int arch_prefetch(const struct kvm *kvm, unsigned spare_vcpu_id, void *code_page, gpa_t code,
		  const struct arch_page_list *lists, unsigned n_lists, struct error *err)
{
	int fd = kvm_call_number(kvm->vm_fd, KVM_CREATE_VCPU, spare_vcpu_id);
	int status;
	struct kvm_run *shared;

	if (fd < 0)
		return error_set(err, errno, "KVM cannot create a vCPU to prefetch with: %s", strerror(errno));
	memcpy(code_page, reader, sizeof(reader));
	shared = mmap(NULL, kvm->run_size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	status = shared == MAP_FAILED ? -errno : read_all(fd, shared, code, lists, n_lists);
	if (shared != MAP_FAILED)
		munmap(shared, kvm->run_size);
	memset(code_page, 0, sizeof(reader));
	if (status == 0)
		return fd;
	close(fd);
	return error_set(err, -status, "the working set cannot be prefetched: %s", strerror(-status));
}
