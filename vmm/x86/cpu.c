/* The state in which a vCPU starts: CPUID, and for the boot vCPU the registers that the 64-bit boot protocol wants. */
#include "vmm/arch.h"

#include "vmm/vcpu.h"
#include "vmm/x86/cpuid.h"
#include "vmm/x86/layout.h"

#include <errno.h>
#include <linux/kvm.h>
#include <string.h>

enum {
	CR0_PE_ET_NE_PG = (int)0x80000031,
	CR4_PAE = 0x20,
	EFER_LME_LMA = 0x500,
	RFLAGS_RESERVED = 2,
	MSR_IA32_MISC_ENABLE = 0x1a0,
	MSR_MTRR_DEF_TYPE = 0x2ff,
	LAPIC_LINT0 = 0x350,
	LAPIC_LINT1 = 0x360,
	LAPIC_MODE_MASK = 0x700,
	LAPIC_MODE_NMI = 0x400,
	LAPIC_MODE_EXTINT = 0x700,
};

static int failed(struct error *err, const struct vcpu *vcpu, const char *what)
{
	return error_set(err, errno, "%s for vCPU %u: %s", what, vcpu->id, strerror(errno));
}

static int set_cpuid(const struct kvm *kvm, const struct vcpu *vcpu, unsigned n_vcpus, struct error *err)
{
	struct cpuid_table table = { .head.nent = CPUID_ENTRIES_MAX };

	if (kvm_call(kvm->fd, KVM_GET_SUPPORTED_CPUID, &table) < 0)
		return failed(err, vcpu, "KVM_GET_SUPPORTED_CPUID");
	if (cpuid_make(&table, vcpu->id, n_vcpus) < 0)
		return error_set(err, ENOSPC, "this host has too many CPUID leaves");
	if (kvm_call(vcpu->fd, KVM_SET_CPUID2, &table) < 0)
		return failed(err, vcpu, "KVM_SET_CPUID2");
	return 0;
}

static int set_msrs(const struct vcpu *vcpu, struct error *err)
{
	struct {
		struct kvm_msrs head;
		struct kvm_msr_entry entries[2];
	} msrs = {
		.head.nmsrs = 2,
		.entries = { { .index = MSR_IA32_MISC_ENABLE, .data = 1 },    /* fast string operations */
			     { .index = MSR_MTRR_DEF_TYPE, .data = 0x806 } }, /* on, write-back by default */
	};

	/* Returns how many it took. */
	if (kvm_call(vcpu->fd, KVM_SET_MSRS, &msrs) != 2)
		return failed(err, vcpu, "KVM_SET_MSRS");
	return 0;
}

static void set_mode(struct kvm_lapic_state *lapic, unsigned reg, uint32_t mode)
{
	uint32_t value;

	memcpy(&value, lapic->regs + reg, sizeof(value));
	value = (value & ~(uint32_t)LAPIC_MODE_MASK) | mode;
	memcpy(lapic->regs + reg, &value, sizeof(value));
}

/* The two local pins as firmware leaves them. */
static int set_lapic(const struct vcpu *vcpu, struct error *err)
{
	struct kvm_lapic_state lapic;

	if (kvm_call(vcpu->fd, KVM_GET_LAPIC, &lapic) < 0)
		return failed(err, vcpu, "KVM_GET_LAPIC");
	set_mode(&lapic, LAPIC_LINT0, LAPIC_MODE_EXTINT);
	set_mode(&lapic, LAPIC_LINT1, LAPIC_MODE_NMI);
	if (kvm_call(vcpu->fd, KVM_SET_LAPIC, &lapic) < 0)
		return failed(err, vcpu, "KVM_SET_LAPIC");
	return 0;
}

static int set_special_registers(const struct vcpu *vcpu, struct error *err)
{
	const struct kvm_segment code = {
		.selector = BOOT_CODE_SELECTOR, .limit = UINT32_MAX, .type = 0xb, .present = 1, .l = 1, .s = 1, .g = 1
	};
	const struct kvm_segment data = {
		.selector = BOOT_DATA_SELECTOR, .limit = UINT32_MAX, .type = 0x3, .present = 1, .db = 1, .s = 1, .g = 1
	};
	struct kvm_sregs sregs;

	if (kvm_call(vcpu->fd, KVM_GET_SREGS, &sregs) < 0)
		return failed(err, vcpu, "KVM_GET_SREGS");
	sregs.cs = code;
	sregs.ds = sregs.es = sregs.fs = sregs.gs = sregs.ss = data;
	/* Intel refuses to enter a guest without a busy 64-bit TSS. */
	sregs.tr = (struct kvm_segment) { .limit = 0x67, .type = 0xb, .present = 1 };
	sregs.ldt = (struct kvm_segment) { .type = 0x2, .unusable = 1 };
	sregs.gdt = (struct kvm_dtable) { .base = BOOT_GDT, .limit = 4 * 8 - 1 };
	sregs.idt = (struct kvm_dtable) { 0 };
	sregs.cr0 = (uint32_t)CR0_PE_ET_NE_PG;
	sregs.cr3 = BOOT_PML4;
	sregs.cr4 = CR4_PAE;
	sregs.efer = EFER_LME_LMA;
	if (kvm_call(vcpu->fd, KVM_SET_SREGS, &sregs) < 0)
		return failed(err, vcpu, "KVM_SET_SREGS");
	return 0;
}

static int set_registers(const struct vcpu *vcpu, gpa_t entry, struct error *err)
{
	struct kvm_regs regs = {
		.rip = entry,
		.rsi = BOOT_PARAMS,
		.rsp = BOOT_STACK,
		.rbp = BOOT_STACK,
		.rflags = RFLAGS_RESERVED,
	};
	struct kvm_fpu fpu = { .fcw = 0x37f, .mxcsr = 0x1f80 };

	if (kvm_call(vcpu->fd, KVM_SET_REGS, &regs) < 0)
		return failed(err, vcpu, "KVM_SET_REGS");
	if (kvm_call(vcpu->fd, KVM_SET_FPU, &fpu) < 0)
		return failed(err, vcpu, "KVM_SET_FPU");
	return 0;
}

int arch_vcpu_init(const struct kvm *kvm, const struct vcpu *vcpu, unsigned n_vcpus, gpa_t entry, struct error *err)
{
	int status = set_cpuid(kvm, vcpu, n_vcpus, err); /* first: it decides which registers exist */

	if (status == 0)
		status = set_msrs(vcpu, err);
	if (status == 0)
		status = set_lapic(vcpu, err);
	/* The others wait for the guest to wake them through the local APIC. */
	if (status < 0 || vcpu->id != 0)
		return status;
	status = set_special_registers(vcpu, err);
	if (status == 0)
		status = set_registers(vcpu, entry, err);
	return status;
}
