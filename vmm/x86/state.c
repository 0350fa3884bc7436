/*
 * A VM's processor state in a snapshot: what is saved of each vCPU and of the VM, and the order in which it goes back.
 * The order is KVM's: each setter relies on those before it (docs/vmm.md, "Snapshots").
 */
#include "vmm/arch.h"

#include "vmm/vcpu.h"
#include "vmm/x86/cpuid.h"

#include <errno.h>
#include <linux/kvm.h>
#include <stdlib.h>
#include <string.h>

enum {
	STATE_MP_STATE = STATE_ARCH_FIRST,
	STATE_REGS,
	STATE_SREGS,
	STATE_XCRS,
	STATE_XSAVE,
	STATE_DEBUGREGS,
	STATE_LAPIC,
	STATE_TSC_KHZ,
	STATE_CPUID,
	STATE_MSRS,
	STATE_EVENTS,
	STATE_IRQCHIP, /* instance: KVM_IRQCHIP_* */
	STATE_CLOCK,
};

enum {
	MSRS_MAX = 512,
	MSRS_AT_A_TIME = 128,
	MSR_TSC = 0x10,
	MSR_MCG_CTL = 0x17b,
	MSR_TSC_DEADLINE = 0x6e0,
	XSAVE_SIZE_MIN = sizeof(struct kvm_xsave),
	XSAVE_SIZE_MAX = 64 << 10,
	TSC_TOLERANCE_PPM = 250, /* what guests' clocks take for equal */
};

/* Parts of fixed size, with the calls that read and write them. */
struct part {
	uint32_t section;
	uint32_t size;
	unsigned long get, set;
	const char *name;
};

static const struct part mp_state = { STATE_MP_STATE, sizeof(struct kvm_mp_state), KVM_GET_MP_STATE, KVM_SET_MP_STATE,
				      "MP_STATE" };
static const struct part regs = { STATE_REGS, sizeof(struct kvm_regs), KVM_GET_REGS, KVM_SET_REGS, "REGS" };
static const struct part sregs = { STATE_SREGS, sizeof(struct kvm_sregs), KVM_GET_SREGS, KVM_SET_SREGS, "SREGS" };
static const struct part xcrs = { STATE_XCRS, sizeof(struct kvm_xcrs), KVM_GET_XCRS, KVM_SET_XCRS, "XCRS" };
static const struct part debugregs = { STATE_DEBUGREGS, sizeof(struct kvm_debugregs), KVM_GET_DEBUGREGS,
				       KVM_SET_DEBUGREGS, "DEBUGREGS" };
static const struct part lapic = { STATE_LAPIC, sizeof(struct kvm_lapic_state), KVM_GET_LAPIC, KVM_SET_LAPIC, "LAPIC" };
static const struct part events = { STATE_EVENTS, sizeof(struct kvm_vcpu_events), KVM_GET_VCPU_EVENTS,
				    KVM_SET_VCPU_EVENTS, "VCPU_EVENTS" };

enum { PART_SIZE_MAX = sizeof(struct kvm_lapic_state) };
_Static_assert(sizeof(struct kvm_sregs) <= PART_SIZE_MAX && sizeof(struct kvm_xcrs) <= PART_SIZE_MAX, "parts fit");

static int failed(struct error *err, const struct vcpu *vcpu, const char *call, const char *what)
{
	return error_set(err, errno, "KVM_%s_%s of vCPU %u: %s", call, what, vcpu->id, strerror(errno));
}

/* ---- saving ------------------------------------------------------------------------------------------------------ */

static int save_part(const struct part *part, const struct vcpu *vcpu, struct state_writer *writer, struct error *err)
{
	uint8_t data[PART_SIZE_MAX] __attribute__((aligned(16))) = { 0 };

	if (kvm_call(vcpu->fd, part->get, data) < 0)
		return failed(err, vcpu, "GET", part->name);
	state_section(writer, part->section, vcpu->id);
	state_put(writer, data, part->size);
	return 0;
}

/* KVM's idea of the size; larger than the old fixed one with large vector state. */
static size_t xsave_size(const struct kvm *kvm)
{
	const long size = kvm_call_number(kvm->vm_fd, KVM_CHECK_EXTENSION, KVM_CAP_XSAVE2);

	return size > XSAVE_SIZE_MIN && size <= XSAVE_SIZE_MAX ? (size_t)size : XSAVE_SIZE_MIN;
}

static int save_xsave(const struct kvm *kvm, const struct vcpu *vcpu, struct state_writer *writer, struct error *err)
{
	const size_t size = xsave_size(kvm);
	void *data = calloc(1, size);
	int status = 0;

	if (!data)
		return error_set(err, ENOMEM, "out of memory");
	if (kvm_call(vcpu->fd, size > XSAVE_SIZE_MIN ? KVM_GET_XSAVE2 : KVM_GET_XSAVE, data) < 0) {
		status = failed(err, vcpu, "GET", "XSAVE");
	} else {
		state_section(writer, STATE_XSAVE, vcpu->id);
		state_put(writer, data, size);
	}
	free(data);
	return status;
}

static int save_cpuid(const struct vcpu *vcpu, struct state_writer *writer, struct error *err)
{
	struct cpuid_table table = { .head.nent = CPUID_ENTRIES_MAX };

	if (kvm_call(vcpu->fd, KVM_GET_CPUID2, &table) < 0)
		return failed(err, vcpu, "GET", "CPUID2");
	state_section(writer, STATE_CPUID, vcpu->id);
	state_put(writer, table.entries, table.head.nent * sizeof(table.entries[0]));
	return 0;
}

struct msr_list {
	struct kvm_msr_list head;
	uint32_t indices[MSRS_MAX];
};

struct msr_table {
	struct kvm_msrs head;
	struct kvm_msr_entry entries[MSRS_AT_A_TIME];
};

/* What KVM does not list but lets be saved. */
static unsigned add_unlisted_msrs(uint32_t *indices, unsigned n)
{
	static const struct {
		uint16_t first, last;
	} memory_types[] = { { 0x200, 0x20f }, { 0x250, 0x250 }, { 0x258, 0x259 },
			     { 0x268, 0x26f }, { 0x277, 0x277 }, { 0x2ff, 0x2ff } };

	for (unsigned i = 0; i < sizeof(memory_types) / sizeof(memory_types[0]); i++)
		for (uint32_t msr = memory_types[i].first; msr <= memory_types[i].last && n < MSRS_MAX; msr++)
			indices[n++] = msr;
	return n;
}

/*
 * KVM lists what it knows, not what this vCPU has: reading stops at the first that it does not have, which is then left
 * out.
 */
static int save_msrs(const struct kvm *kvm, const struct vcpu *vcpu, struct state_writer *writer, struct error *err)
{
	struct msr_list list = { .head.nmsrs = MSRS_MAX };
	unsigned n, next = 0;

	if (kvm_call(kvm->fd, KVM_GET_MSR_INDEX_LIST, &list) < 0)
		return failed(err, vcpu, "GET", "MSR_INDEX_LIST");
	n = add_unlisted_msrs(list.indices, list.head.nmsrs);
	state_section(writer, STATE_MSRS, vcpu->id);
	while (next < n) {
		struct msr_table table = { .head.nmsrs = n - next < MSRS_AT_A_TIME ? n - next : MSRS_AT_A_TIME };
		long got;

		for (unsigned i = 0; i < table.head.nmsrs; i++)
			table.entries[i].index = list.indices[next + i];
		got = kvm_call(vcpu->fd, KVM_GET_MSRS, &table);
		if (got < 0)
			return failed(err, vcpu, "GET", "MSRS");
		for (long i = 0; i < got; i++) {
			if (table.entries[i].index == MSR_MCG_CTL)
				continue;
			state_put_uint(writer, table.entries[i].index, 4);
			state_put_uint(writer, table.entries[i].data, 8);
		}
		next += (unsigned)got + ((unsigned)got < table.head.nmsrs ? 1 : 0);
	}
	return 0;
}

/* MP_STATE first: reading it settles a pending INIT, which changes the rest. */
static int save_vcpu(const struct kvm *kvm, const struct vcpu *vcpu, struct state_writer *writer, struct error *err)
{
	static const struct part *const parts[] = { &mp_state, &regs, &sregs, &xcrs, &debugregs, &lapic };
	const long tsc_khz = kvm_call_number(vcpu->fd, KVM_GET_TSC_KHZ, 0);
	int status = 0;

	for (unsigned i = 0; i < sizeof(parts) / sizeof(parts[0]) && status == 0; i++)
		status = save_part(parts[i], vcpu, writer, err);
	if (status == 0)
		status = save_xsave(kvm, vcpu, writer, err);
	if (status == 0)
		status = save_cpuid(vcpu, writer, err);
	if (status == 0)
		status = save_msrs(kvm, vcpu, writer, err);
	if (status == 0)
		status = save_part(&events, vcpu, writer, err);
	state_section(writer, STATE_TSC_KHZ, vcpu->id);
	state_put_uint(writer, tsc_khz > 0 ? (uint64_t)tsc_khz : 0, 4);
	return status;
}

int arch_save(const struct kvm *kvm, const struct vcpus *vcpus, struct state_writer *writer, struct error *err)
{
	struct kvm_clock_data clock = { 0 };
	int status = 0;

	for (unsigned id = 0; id < vcpus->n_vcpus && status == 0; id++)
		status = save_vcpu(kvm, &vcpus->vcpus[id], writer, err);
	for (uint32_t chip = KVM_IRQCHIP_PIC_MASTER; chip <= KVM_IRQCHIP_IOAPIC && status == 0; chip++) {
		struct kvm_irqchip irqchip = { .chip_id = chip };

		if (kvm_call(kvm->vm_fd, KVM_GET_IRQCHIP, &irqchip) < 0)
			return error_set(err, errno, "KVM_GET_IRQCHIP: %s", strerror(errno));
		state_section(writer, STATE_IRQCHIP, chip);
		state_put(writer, &irqchip.chip, sizeof(irqchip.chip));
	}
	if (status < 0)
		return status;
	if (kvm_call(kvm->vm_fd, KVM_GET_CLOCK, &clock) < 0)
		return error_set(err, errno, "KVM_GET_CLOCK: %s", strerror(errno));
	state_section(writer, STATE_CLOCK, 0);
	state_put_uint(writer, clock.clock, 8);
	return 0;
}

/* ---- restoring --------------------------------------------------------------------------------------------------- */

static int restore_part(const struct part *part, const struct vcpu *vcpu, struct state_reader *reader,
			struct error *err)
{
	struct bytes in = state_find(reader, part->section, vcpu->id);
	const void *from = bytes_take(&in, part->size);
	uint8_t data[PART_SIZE_MAX] __attribute__((aligned(16)));

	if (state_done(&in, part->name, err) < 0)
		return -err->code;
	memcpy(data, from, part->size);
	if (kvm_call(vcpu->fd, part->set, data) < 0)
		return failed(err, vcpu, "SET", part->name);
	return 0;
}

static int restore_tsc_rate(const struct vcpu *vcpu, struct state_reader *reader, struct error *err)
{
	struct bytes in = state_find(reader, STATE_TSC_KHZ, vcpu->id);
	const int64_t wanted = bytes_get_u32(&in);
	const int64_t present = kvm_call_number(vcpu->fd, KVM_GET_TSC_KHZ, 0);
	const int64_t difference = wanted > present ? wanted - present : present - wanted;

	if (state_done(&in, "TSC_KHZ", err) < 0)
		return -err->code;
	if (wanted == 0 || present <= 0 || difference * 1000000 <= TSC_TOLERANCE_PPM * present)
		return 0;
	if (kvm_call_number(vcpu->fd, KVM_SET_TSC_KHZ, (unsigned long)wanted) < 0)
		return error_set(err, EINVAL,
				 "foreign: made on a processor with a clock of %lld kHz; this one has "
				 "%lld kHz and cannot imitate it",
				 (long long)wanted, (long long)present);
	return 0;
}

static int restore_cpuid(const struct vcpu *vcpu, const struct cpuid_table *host, struct state_reader *reader,
			 struct error *err)
{
	struct bytes in = state_find(reader, STATE_CPUID, vcpu->id);
	struct cpuid_table table = { 0 };
	const size_t size = bytes_left(&in);
	uint32_t leaf;

	if (size == 0 || size % sizeof(table.entries[0]) || size > sizeof(table.entries))
		return error_set(err, EINVAL, "damaged: the state of CPUID is missing or of a wrong length");
	memcpy(table.entries, bytes_take(&in, size), size);
	table.head.nent = (uint32_t)(size / sizeof(table.entries[0]));
	if (!cpuid_is_offered(&table, host, &leaf))
		return error_set(err, EINVAL,
				 "foreign: made on a processor that has features which this one lacks, or with some "
				 "that no guest is given (CPUID leaf 0x%x)",
				 leaf);
	if (kvm_call(vcpu->fd, KVM_SET_CPUID2, &table) < 0)
		return failed(err, vcpu, "SET", "CPUID2");
	return 0;
}

static int restore_xsave(const struct kvm *kvm, const struct vcpu *vcpu, struct state_reader *reader, struct error *err)
{
	struct bytes in = state_find(reader, STATE_XSAVE, vcpu->id);
	const size_t size = bytes_left(&in), host_size = xsave_size(kvm);
	void *data;
	int status = 0;

	if (size < XSAVE_SIZE_MIN || size > host_size)
		return error_set(err, EINVAL, "%s: %zu bytes of vector state, this host takes %zu",
				 size < XSAVE_SIZE_MIN ? "damaged" : "foreign", size, host_size);
	data = calloc(1, host_size);
	if (!data)
		return error_set(err, ENOMEM, "out of memory");
	memcpy(data, bytes_take(&in, size), size);
	if (kvm_call(vcpu->fd, KVM_SET_XSAVE, data) < 0)
		status = failed(err, vcpu, "SET", "XSAVE");
	free(data);
	return status;
}

static int set_msrs(const struct vcpu *vcpu, struct msr_table *table, struct error *err)
{
	const long done = table->head.nmsrs ? kvm_call(vcpu->fd, KVM_SET_MSRS, table) : 0;

	if (done < 0)
		return failed(err, vcpu, "SET", "MSRS");
	if ((uint32_t)done < table->head.nmsrs)
		return error_set(err, EINVAL, "foreign: this host does not take the value of register 0x%x",
				 table->entries[done].index);
	table->head.nmsrs = 0;
	return 0;
}

/*
 * The deadline of the timer goes last: KVM arms it by the TSC, which must be right by then. One of zero in a guest whose
 * timer interrupt was under way when it was saved would be a tick that never comes: the TSC's own value fires at once,
 * and an interrupt too many does no harm.
 */
static int restore_msrs(const struct vcpu *vcpu, struct state_reader *reader, struct error *err)
{
	struct bytes in = state_find(reader, STATE_MSRS, vcpu->id);
	struct msr_table table = { 0 };
	struct kvm_msr_entry deadline = { 0 };
	uint64_t tsc = 0;
	int status = 0;

	while (bytes_left(&in) && status == 0) {
		const struct kvm_msr_entry entry = { .index = bytes_get_u32(&in), .data = bytes_get_u64(&in) };

		if (entry.index == MSR_TSC)
			tsc = entry.data;
		if (entry.index == MSR_TSC_DEADLINE)
			deadline = entry;
		else
			table.entries[table.head.nmsrs++] = entry;
		if (table.head.nmsrs == MSRS_AT_A_TIME)
			status = set_msrs(vcpu, &table, err);
	}
	if (status == 0 && state_done(&in, "MSRS", err) < 0)
		return -err->code;
	if (status == 0)
		status = set_msrs(vcpu, &table, err);
	if (status < 0 || deadline.index == 0)
		return status;
	if (deadline.data == 0)
		deadline.data = tsc;
	table.entries[0] = deadline;
	table.head.nmsrs = 1;
	return set_msrs(vcpu, &table, err);
}

static int restore_vcpu(const struct kvm *kvm, const struct vcpu *vcpu, const struct cpuid_table *host,
			struct state_reader *reader, struct error *err)
{
	static const struct part *const before_vectors[] = { &mp_state, &regs, &sregs, &xcrs };
	static const struct part *const after_vectors[] = { &debugregs, &lapic };
	int status = restore_tsc_rate(vcpu, reader, err); /* before any value of the TSC */

	if (status == 0)
		status = restore_cpuid(vcpu, host, reader, err); /* decides which registers there are */
	for (unsigned i = 0; i < sizeof(before_vectors) / sizeof(before_vectors[0]) && status == 0; i++)
		status = restore_part(before_vectors[i], vcpu, reader, err);
	if (status == 0)
		status = restore_xsave(kvm, vcpu, reader, err);
	for (unsigned i = 0; i < sizeof(after_vectors) / sizeof(after_vectors[0]) && status == 0; i++)
		status = restore_part(after_vectors[i], vcpu, reader, err);
	if (status == 0)
		status = restore_msrs(vcpu, reader, err); /* after the local APIC, whose timer they arm */
	return status == 0 ? restore_part(&events, vcpu, reader, err) : status;
}

static int restore_irqchips(const struct kvm *kvm, struct state_reader *reader, struct error *err)
{
	for (uint32_t chip = KVM_IRQCHIP_PIC_MASTER; chip <= KVM_IRQCHIP_IOAPIC; chip++) {
		struct kvm_irqchip irqchip = { .chip_id = chip };
		struct bytes in = state_find(reader, STATE_IRQCHIP, chip);
		const void *from = bytes_take(&in, sizeof(irqchip.chip));

		if (state_done(&in, "an interrupt controller", err) < 0)
			return -err->code;
		memcpy(&irqchip.chip, from, sizeof(irqchip.chip));
		if (kvm_call(kvm->vm_fd, KVM_SET_IRQCHIP, &irqchip) < 0)
			return error_set(err, errno, "KVM_SET_IRQCHIP: %s", strerror(errno));
	}
	return 0;
}

/* Without flags: the guest's clock goes on from where it was saved and does not jump over the time between. */
static int restore_clock(const struct kvm *kvm, struct state_reader *reader, struct error *err)
{
	struct bytes in = state_find(reader, STATE_CLOCK, 0);
	struct kvm_clock_data clock = { .clock = bytes_get_u64(&in) };

	if (state_done(&in, "the clock", err) < 0)
		return -err->code;
	if (kvm_call(kvm->vm_fd, KVM_SET_CLOCK, &clock) < 0)
		return error_set(err, errno, "KVM_SET_CLOCK: %s", strerror(errno));
	return 0;
}

int arch_restore(const struct kvm *kvm, const struct vcpus *vcpus, struct state_reader *reader, struct error *err)
{
	struct cpuid_table host = { .head.nent = CPUID_ENTRIES_MAX };
	int status = 0;

	if (kvm_call(kvm->fd, KVM_GET_SUPPORTED_CPUID, &host) < 0)
		return error_set(err, errno, "KVM_GET_SUPPORTED_CPUID: %s", strerror(errno));
	for (unsigned id = 0; id < vcpus->n_vcpus && status == 0; id++)
		status = restore_vcpu(kvm, &vcpus->vcpus[id], &host, reader, err);
	if (status == 0)
		status = restore_clock(kvm, reader, err); /* after the TSCs of all vCPUs */
	return status == 0 ? restore_irqchips(kvm, reader, err) : status;
}

/* The guest's watchdogs must not take a pause for a hang. Fails, harmlessly, where the guest has no kvm-clock yet. */
void arch_resumed(const struct vcpus *vcpus)
{
	for (unsigned id = 0; id < vcpus->n_vcpus; id++)
		kvm_call_number(vcpus->vcpus[id].fd, KVM_KVMCLOCK_CTRL, 0);
}
