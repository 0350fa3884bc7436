#include "vmm/x86/cpuid.h"

#include <errno.h>
#include <stddef.h>
#include <stdbool.h>
#include <stdint.h>

#define BIT(n) (1U << (n))

enum {
	LEAF_KVM_FEATURES = 0x40000001,
	LEAF_AMD_SVM = 0x8000000a,
	LEAF_AMD_PMU = 0x80000022,
	EVERY_SUBLEAF = -1,
};

/* Of KVM's paravirtual features: what helps an idle guest. No async page faults: they would be open in a snapshot. */
#define KVM_FEATURES                                                                                                   \
	(BIT(0) | BIT(3) /* clock */ | BIT(24) /* stable clock */ | BIT(1) /* no I/O delay */ |                        \
	 BIT(6) /* cheap end of interrupt */ | BIT(12) /* host polls less */)

/* Bits that a guest must not see. */
static const struct {
	uint32_t leaf;
	int subleaf;
	uint32_t eax, ebx, ecx, edx;
} hidden[] = {
	{ 0x1, EVERY_SUBLEAF, .ecx = BIT(5) /* VMX */ | BIT(15) /* PDCM: PMU */ },
	{ 0x6, EVERY_SUBLEAF, .eax = BIT(1) /* turbo */, .ecx = BIT(3) /* energy bias */ },
	{ 0x7, 0, .ecx = BIT(5) /* WAITPKG: would park a core of the host */ },
	{ 0x7, 0, .edx = BIT(22) | BIT(24) | BIT(25) /* AMX: needs a permission of its own */ },
	{ 0xa, EVERY_SUBLEAF, UINT32_MAX, UINT32_MAX, UINT32_MAX, UINT32_MAX }, /* PMU */
	{ LEAF_KVM_FEATURES, EVERY_SUBLEAF, .eax = ~KVM_FEATURES },
	{ 0x80000001, EVERY_SUBLEAF, .ecx = BIT(2) /* SVM */ | BIT(23) | BIT(24) | BIT(28) /* PMU */ },
	{ LEAF_AMD_SVM, EVERY_SUBLEAF, UINT32_MAX, UINT32_MAX, UINT32_MAX, UINT32_MAX },
	{ LEAF_AMD_PMU, EVERY_SUBLEAF, UINT32_MAX, UINT32_MAX, UINT32_MAX, UINT32_MAX },
};

/* Bits of an APIC id that number `count` things. */
static uint32_t id_bits(unsigned count)
{
	uint32_t bits = 0;

	while ((1U << bits) < count)
		bits++;
	return bits;
}

/* As KVM looks entries up: most have a flag that says to heed their index. */
static bool is_entry(const struct kvm_cpuid_entry2 *e, uint32_t leaf, uint32_t subleaf)
{
	return e->function == leaf && (!(e->flags & KVM_CPUID_FLAG_SIGNIFCANT_INDEX) || e->index == subleaf);
}

static void hide(struct kvm_cpuid_entry2 *e)
{
	for (unsigned i = 0; i < sizeof(hidden) / sizeof(hidden[0]); i++) {
		const bool is_each = hidden[i].subleaf == EVERY_SUBLEAF;

		if (!is_entry(e, hidden[i].leaf, is_each ? e->index : (uint32_t)hidden[i].subleaf))
			continue;
		e->eax &= ~hidden[i].eax;
		e->ebx &= ~hidden[i].ebx;
		e->ecx &= ~hidden[i].ecx;
		e->edx &= ~hidden[i].edx;
	}
}

static void set_basic_features(struct kvm_cpuid_entry2 *e, unsigned id, unsigned n_vcpus)
{
	e->ebx = (e->ebx & 0xff) | id << 24 | BIT(id_bits(n_vcpus)) << 16 | 8 << 8; /* 8: cache line of 64 bytes */
	e->ecx |= BIT(31);                                                          /* a hypervisor is there */
	e->ecx |= BIT(24); /* TSC deadline timer: KVM has it but does not list it */
	e->edx &= ~BIT(28);
	if (n_vcpus > 1)
		e->edx |= BIT(28); /* several processors in the package */
}

/* Cache leaves: level 3 is shared by all, the others by nobody. Same layout on Intel (4) and AMD (0x8000001d). */
static void set_cache_sharing(struct kvm_cpuid_entry2 *e, unsigned n_vcpus)
{
	const uint32_t level = e->eax >> 5 & 7;
	const uint32_t n_sharing = level >= 3 ? n_vcpus : 1;

	if ((e->eax & 0x1f) == 0)
		return; /* no cache: the end of the list */
	e->eax = (e->eax & ~(0xfffU << 14)) | (n_sharing - 1) << 14;
	if (e->function == 4)
		e->eax = (e->eax & ~(0x3fU << 26)) | (BIT(id_bits(n_vcpus)) - 1) << 26;
}

static void set_entry(struct kvm_cpuid_entry2 *e, unsigned id, unsigned n_vcpus)
{
	switch (e->function) {
	case 0x1:
		set_basic_features(e, id, n_vcpus);
		break;
	case 0x4:
	case 0x8000001d:
		set_cache_sharing(e, n_vcpus);
		break;
	case 0x80000001:
		e->ecx &= ~BIT(1);
		if (n_vcpus > 1)
			e->ecx |= BIT(1); /* AMD: HTT means cores, not threads */
		break;
	case 0x80000008:
		e->ecx = (e->ecx & ~0xf0ffU) | id_bits(n_vcpus) << 12 | (n_vcpus - 1);
		break;
	case 0x8000001e: /* AMD: APIC id; core id and one thread a core; one node */
		e->eax = id;
		e->ebx = id;
		e->ecx = 0;
		break;
	default:
		break;
	}
}

static bool is_topology(uint32_t leaf)
{
	return leaf == 0xb || leaf == 0x1f;
}

static void drop_topology(struct cpuid_table *table)
{
	uint32_t kept = 0;

	for (uint32_t i = 0; i < table->head.nent; i++)
		if (!is_topology(table->entries[i].function))
			table->entries[kept++] = table->entries[i];
	table->head.nent = kept;
}

/* Levels of leaf 0xb: threads (one a core), cores (all), none. Newer KVMs leave this to us. */
static int add_topology(struct cpuid_table *table, uint32_t leaf, unsigned id, unsigned n_vcpus)
{
	const struct kvm_cpuid_entry2 levels[] = {
		{ .eax = 0, .ebx = 1, .ecx = 1 << 8 | 0 },
		{ .eax = id_bits(n_vcpus), .ebx = n_vcpus, .ecx = 2 << 8 | 1 },
		{ .eax = 0, .ebx = 0, .ecx = 2 },
	};

	for (uint32_t i = 0; i < 3; i++) {
		struct kvm_cpuid_entry2 *e = &table->entries[table->head.nent];

		if (table->head.nent == CPUID_ENTRIES_MAX)
			return -ENOSPC;
		*e = levels[i];
		e->function = leaf;
		e->index = i;
		e->flags = KVM_CPUID_FLAG_SIGNIFCANT_INDEX;
		e->edx = id;
		table->head.nent++;
	}
	return 0;
}

int cpuid_make(struct cpuid_table *table, unsigned id, unsigned n_vcpus)
{
	uint32_t basic_max = 0;
	int status = 0;

	drop_topology(table);
	for (uint32_t i = 0; i < table->head.nent; i++) {
		struct kvm_cpuid_entry2 *e = &table->entries[i];

		if (e->function == 0)
			basic_max = e->eax;
		hide(e);
		set_entry(e, id, n_vcpus);
	}
	if (basic_max >= 0xb)
		status = add_topology(table, 0xb, id, n_vcpus);
	if (basic_max >= 0x1f && status == 0)
		status = add_topology(table, 0x1f, id, n_vcpus);
	return status;
}

static const struct kvm_cpuid_entry2 *find_entry(const struct cpuid_table *table, uint32_t leaf, uint32_t subleaf)
{
	for (uint32_t i = 0; i < table->head.nent; i++)
		if (is_entry(&table->entries[i], leaf, subleaf))
			return &table->entries[i];
	return NULL;
}

static bool has_hidden_bits(const struct kvm_cpuid_entry2 *e)
{
	struct kvm_cpuid_entry2 shown = *e;

	hide(&shown);
	return shown.eax != e->eax || shown.ebx != e->ebx || shown.ecx != e->ecx || shown.edx != e->edx;
}

bool cpuid_is_offered(const struct cpuid_table *wanted, const struct cpuid_table *host, uint32_t *leaf)
{
	/* Registers of these leaves are sets of features. Of leaf 1's, some are made by us and the host lists them not. */
	static const struct {
		uint32_t leaf, subleaf, eax, ebx, ecx, edx;
	} features[] = {
		{ 0x1, 0, 0, 0, ~(BIT(31) | BIT(24) | BIT(27)), ~BIT(28) },
		{ 0x7, 0, 0, UINT32_MAX, ~BIT(4), UINT32_MAX },
		{ 0x7, 1, UINT32_MAX, 0, 0, 0 },
		{ 0xd, 0, UINT32_MAX, 0, 0, UINT32_MAX },
		{ 0xd, 1, UINT32_MAX, 0, 0, 0 },
		{ 0x80000001, 0, 0, 0, ~BIT(1), UINT32_MAX },
		{ LEAF_KVM_FEATURES, 0, UINT32_MAX, 0, 0, 0 },
	};
	const struct kvm_cpuid_entry2 none = { 0 };
	const struct kvm_cpuid_entry2 *vendor = find_entry(wanted, 0, 0), *own = find_entry(host, 0, 0);

	*leaf = 0;
	if (!vendor || !own || vendor->ebx != own->ebx || vendor->ecx != own->ecx || vendor->edx != own->edx)
		return false;
	for (unsigned i = 0; i < sizeof(features) / sizeof(features[0]); i++) {
		const struct kvm_cpuid_entry2 *want = find_entry(wanted, features[i].leaf, features[i].subleaf);
		const struct kvm_cpuid_entry2 *have = find_entry(host, features[i].leaf, features[i].subleaf);

		have = have ? have : &none;
		*leaf = features[i].leaf;
		if (want && ((want->eax & ~have->eax & features[i].eax) || (want->ebx & ~have->ebx & features[i].ebx) ||
			     (want->ecx & ~have->ecx & features[i].ecx) || (want->edx & ~have->edx & features[i].edx)))
			return false;
	}
	for (uint32_t i = 0; i < wanted->head.nent; i++) {
		*leaf = wanted->entries[i].function;
		if (has_hidden_bits(&wanted->entries[i]))
			return false;
	}
	return true;
}
