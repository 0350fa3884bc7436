#include "vmm/probe.h"

#include "vmm/guest_memory.h"
#include "vmm/kvm.h"
#include "vmm/machine.h"
#include "vmm/x86/cpuid.h"

#include <errno.h>
#include <linux/kvm.h>
#include <signal.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <unistd.h>

/* x86/probe_guest.S */
extern const uint8_t probe_guest[], probe_guest_syscall[], probe_guest_page_fault[], probe_guest_end[];

enum {
	/* The guest's memory: 2 MiB, mapped by one page that ring 3 may use. */
	PML4 = 0x1000,
	PDPT = 0x2000,
	PD = 0x3000,
	GDT = 0x5000,
	TSS = 0x6000,
	IDT = 0x7000,
	PROBE_CODE = 0x8000,
	RING0_STACK = 0xf000,

	TURNS = 10000,
	STAGE_DONE = 8,
	DONE_PORT = 0xf4,
	TIME_LIMIT_S = 5,
	/* Ring 0 of a working KVM is as fast as ring 3; where it is emulated, it is a thousand times slower. */
	RATIO_MAX = 20,
};

/* What the guest was doing when it got no further. */
static const char *const stages[STAGE_DONE] = {
	"entering long mode", "a loop in ring 0", "IRETQ to ring 3",        "a loop in ring 3",
	"SYSCALL to ring 0",  "SYSRET",           "a page fault in ring 3", "SYSCALL to ring 0",
};

struct probe {
	struct guest_memory memory;
	struct kvm kvm;
	int vcpu_fd;
	struct kvm_run *run;
};

static struct kvm_run *running; /* for the alarm's handler */

static void on_alarm(int signal_number)
{
	(void)signal_number;
	if (running)
		running->immediate_exit = 1;
}

static void put(const struct probe *probe, gpa_t at, const void *data, size_t size)
{
	memcpy(guest_memory_get(&probe->memory, at, size), data, size);
}

static void put_u64(const struct probe *probe, gpa_t at, uint64_t value)
{
	put(probe, at, &value, sizeof(value));
}

static void load_guest(const struct probe *probe)
{
	/* Selectors: 8 and 0x10 ring 0 code and data, 0x20 and 0x28 ring 3 data and code, in SYSRET's order. */
	static const uint64_t gdt[] = { 0, 0x00af9b000000ffff, 0x00cf93000000ffff,
					0, 0x00cff3000000ffff, 0x00affb000000ffff };
	const uint64_t handler = PROBE_CODE + (uint64_t)(probe_guest_page_fault - probe_guest);
	/* Interrupt gate, present, code selector 8; the handler lies below 64 KiB. */
	const uint64_t page_fault_gate[2] = { handler | 8ULL << 16 | 0x8e00ULL << 32, 0 };
	const uint64_t rsp0 = RING0_STACK;

	put_u64(probe, PML4, PDPT | 7);
	put_u64(probe, PDPT, PD | 7);
	put_u64(probe, PD, 0x87); /* one large page; what is above faults */
	put(probe, GDT, gdt, sizeof(gdt));
	put(probe, TSS + 4, &rsp0, sizeof(rsp0));
	put(probe, IDT + 14 * 16, page_fault_gate, sizeof(page_fault_gate));
	put(probe, PROBE_CODE, probe_guest, (size_t)(probe_guest_end - probe_guest));
}

static int ioctl_or_error(int fd, unsigned long request, void *argument, const char *name, struct error *err)
{
	return ioctl(fd, request, argument) < 0 ? error_set(err, errno, "%s: %s", name, strerror(errno)) : 0;
}

static int set_registers(const struct probe *probe, struct error *err)
{
	struct {
		struct kvm_msrs head;
		struct kvm_msr_entry entries[3];
	} msrs = { .head.nmsrs = 3,
		   .entries = { { .index = 0xc0000081, .data = 8ULL << 32 | 0x1bULL << 48 }, /* STAR */
				{ .index = 0xc0000082,                                       /* LSTAR */
				  .data = PROBE_CODE + (uint64_t)(probe_guest_syscall - probe_guest) },
				{ .index = 0xc0000084, .data = 0 } } }; /* FMASK */
	struct kvm_regs regs = { .rip = PROBE_CODE, .rsp = RING0_STACK, .rdi = TURNS, .rflags = 2 };
	struct kvm_segment code = {
		.selector = 8, .limit = UINT32_MAX, .type = 0xb, .present = 1, .l = 1, .s = 1, .g = 1
	};
	struct kvm_segment data = {
		.selector = 0x10, .limit = UINT32_MAX, .type = 3, .present = 1, .db = 1, .s = 1, .g = 1
	};
	struct kvm_sregs sregs;
	int status = ioctl_or_error(probe->vcpu_fd, KVM_GET_SREGS, &sregs, "KVM_GET_SREGS", err);

	if (status < 0)
		return status;
	sregs.cs = code;
	sregs.ds = sregs.es = sregs.fs = sregs.gs = sregs.ss = data;
	sregs.tr = (struct kvm_segment) { .base = TSS, .limit = 0x67, .type = 0xb, .present = 1 };
	sregs.gdt = (struct kvm_dtable) { .base = GDT, .limit = 6 * 8 - 1 };
	sregs.idt = (struct kvm_dtable) { .base = IDT, .limit = 15 * 16 - 1 };
	sregs.cr0 = 0x80000031;
	sregs.cr3 = PML4;
	sregs.cr4 = 0x20;
	sregs.efer = 0x501; /* long mode, SYSCALL */
	status = ioctl_or_error(probe->vcpu_fd, KVM_SET_SREGS, &sregs, "KVM_SET_SREGS", err);
	if (status == 0)
		status = ioctl_or_error(probe->vcpu_fd, KVM_SET_REGS, &regs, "KVM_SET_REGS", err);
	if (status == 0 && ioctl(probe->vcpu_fd, KVM_SET_MSRS, &msrs) != 3)
		status = error_set(err, EIO, "KVM does not take the registers of SYSCALL");
	return status;
}

static int set_cpuid(const struct probe *probe, struct error *err)
{
	struct cpuid_table table = { .head.nent = CPUID_ENTRIES_MAX };
	int status = ioctl_or_error(probe->kvm.fd, KVM_GET_SUPPORTED_CPUID, &table, "KVM_GET_SUPPORTED_CPUID", err);

	return status < 0 ? status : ioctl_or_error(probe->vcpu_fd, KVM_SET_CPUID2, &table, "KVM_SET_CPUID2", err);
}

static int prepare(struct probe *probe, struct error *err)
{
	int status = guest_memory_init(&probe->memory, 2 * MIB);

	if (status < 0)
		return error_set(err, -status, "cannot reserve 2 MiB: %s", strerror(-status));
	status = kvm_open(&probe->kvm, err);
	if (status == 0)
		status = kvm_create_vm(&probe->kvm, err);
	if (status == 0)
		status = kvm_add_memory(&probe->kvm, 0, 2 * MIB, probe->memory.regions[0].host, false, err);
	if (status < 0)
		return status;
	probe->vcpu_fd = ioctl(probe->kvm.vm_fd, KVM_CREATE_VCPU, 0);
	if (probe->vcpu_fd < 0)
		return error_set(err, errno, "KVM cannot create a vCPU: %s", strerror(errno));
	probe->run = mmap(NULL, probe->kvm.run_size, PROT_READ | PROT_WRITE, MAP_SHARED, probe->vcpu_fd, 0);
	if (probe->run == MAP_FAILED)
		return error_set(err, errno, "cannot map the vCPU: %s", strerror(errno));
	load_guest(probe);
	status = set_cpuid(probe, err);
	return status < 0 ? status : set_registers(probe, err);
}

/* Until the guest is done or the time is over. 0 or -errno of KVM_RUN. */
static int run_guest(struct probe *probe)
{
	const struct sigaction action = { .sa_handler = on_alarm };
	const struct itimerval limit = { .it_value.tv_sec = TIME_LIMIT_S };
	const struct itimerval off = { 0 };
	int status;

	running = probe->run;
	sigaction(SIGALRM, &action, NULL);
	setitimer(ITIMER_REAL, &limit, NULL);
	do {
		status = ioctl(probe->vcpu_fd, KVM_RUN, 0) < 0 ? -errno : 0;
	} while (status == -EAGAIN || (status == -EINTR && !probe->run->immediate_exit));
	setitimer(ITIMER_REAL, &off, NULL);
	running = NULL;
	return status;
}

static const char *stage_name(uint64_t stage)
{
	return stage < STAGE_DONE ? stages[stage] : "an unknown stage";
}

static int judge(const struct probe *probe, int run_status, struct error *err)
{
	const struct kvm_run *run = probe->run;
	struct kvm_regs regs;
	uint64_t ring3;

	if (ioctl(probe->vcpu_fd, KVM_GET_REGS, &regs) < 0)
		return error_set(err, errno, "KVM_GET_REGS: %s", strerror(errno));
	if (run_status == -EINTR)
		return error_set(err, ETIMEDOUT, "a test guest did not end within %d s, it hangs at %s", TIME_LIMIT_S,
				 stage_name(regs.rbx));
	if (run_status < 0)
		return error_set(err, -run_status, "KVM_RUN: %s (at %s)", strerror(-run_status), stage_name(regs.rbx));
	/* Before the rest: it is what explains the rest. */
	ring3 = regs.r13 ? regs.r13 : 1;
	if (regs.rbx >= 4 && regs.r12 / ring3 >= RATIO_MAX)
		return error_set(err, ENOTSUP,
				 "ring-0 code is emulated (a loop takes %llu times as long there as in ring 3)",
				 (unsigned long long)(regs.r12 / ring3));
	if (run->exit_reason != KVM_EXIT_IO || run->io.port != DONE_PORT || regs.rbx != STAGE_DONE)
		return error_set(err, ENOTSUP, "a test guest failed at %s (KVM exit reason %u)", stage_name(regs.rbx),
				 run->exit_reason);
	return 0;
}

int probe_kvm(struct error *err)
{
	struct probe probe = { .vcpu_fd = -1, .kvm = { .fd = -1, .vm_fd = -1 } };
	int status = prepare(&probe, err);

	if (status == 0)
		status = judge(&probe, run_guest(&probe), err);
	if (probe.run && probe.run != MAP_FAILED)
		munmap(probe.run, probe.kvm.run_size);
	if (probe.vcpu_fd >= 0)
		close(probe.vcpu_fd);
	kvm_close(&probe.kvm);
	guest_memory_fini(&probe.memory);
	return status;
}
