#include "vmm/options.h"
#include "vmm/x86/cpuid.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <cmocka.h>

enum { ARGUMENTS_MAX = 40 };

static struct options options;
static struct error err;
static char words[1024];

/* The flags stand in one string, separated by blanks. */
static int parse(const char *flags)
{
	char *argv[ARGUMENTS_MAX + 1] = { (char[]) { "hearth-vmm" } };
	int argc = 1;

	strncpy(words, flags, sizeof(words) - 1);
	for (char *word = strtok(words, " "); word; word = strtok(NULL, " "))
		argv[argc++] = word;
	memset(&err, 0, sizeof(err));
	return options_parse(&options, argc, argv, &err);
}

static void defaults_are_sensible(void **state)
{
	(void)state;
	assert_int_equal(parse("--kernel k"), 0);
	assert_int_equal(options.command, OPTIONS_RUN);
	assert_int_equal(options.control_fd, -1);
	assert_int_equal(options.vm.memory_mib, 512);
	assert_int_equal(options.vm.n_vcpus, 1);
	assert_string_equal(options.vm.cmdline, "");
	assert_null(options.vm.vsock_path);
	assert_int_equal(options.vm.net_fd, -1);
}

static void all_flags_are_taken(void **state)
{
	(void)state;
	assert_int_equal(parse("--control 7 --id a1 --kernel k --cmdline root=/dev/vda --memory 16384 --vcpus 16 "
			       "--disk a,ro --disk=b --disk c,rw --vsock v --net 8 --console -"),
			 0);
	assert_int_equal(options.control_fd, 7);
	assert_string_equal(options.id, "a1");
	assert_int_equal(options.vm.memory_mib, 16384);
	assert_int_equal(options.vm.n_vcpus, 16);
	assert_int_equal(options.vm.n_disks, 3);
	assert_string_equal(options.vm.disks[0].path, "a");
	assert_true(options.vm.disks[0].is_read_only);
	assert_string_equal(options.vm.disks[1].path, "b");
	assert_false(options.vm.disks[1].is_read_only);
	assert_string_equal(options.vm.disks[2].path, "c,rw"); /* only ,ro means something */
	assert_int_equal(options.vm.net_fd, 8);
	assert_string_equal(options.vm.console_path, "-");
}

static void commands_need_no_kernel(void **state)
{
	(void)state;
	assert_int_equal(parse("--probe"), 0);
	assert_int_equal(options.command, OPTIONS_PROBE);
	assert_int_equal(parse("--version"), 0);
	assert_int_equal(parse("--help"), 0);
}

static void mistakes_are_named(void **state)
{
	static const struct {
		const char *flags, *text;
	} wrong[] = {
		{ "", "--kernel FILE is needed" },
		{ "--kernel k --memory 127", "--memory 127" },
		{ "--kernel k --memory 16385", "--memory 16385" },
		{ "--kernel k --memory 512MiB", "--memory 512MiB" },
		{ "--kernel k --memory 99999999999999999999", "a number from" },
		{ "--kernel k --vcpus 0", "--vcpus 0" },
		{ "--kernel k --vcpus -1", "--vcpus -1" },
		{ "--kernel k --control x", "--control x" },
		{ "--kernel k --net x", "--net x" },
		{ "--kernel k --nonsense", "--nonsense" },
		{ "--kernel k --disk", "--disk" },
		{ "--kernel k --disk ,ro", "a file is needed" },
		{ "--kernel k stray", "stray: not a flag" },
		{ "--kernel k --disk 1 --disk 2 --disk 3 --disk 4 --disk 5 --disk 6 --disk 7 --disk 8 --disk 9",
		  "at most 8 disks" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		assert_true(parse(wrong[i].flags) < 0);
		if (!strstr(err.text, wrong[i].text))
			fail_msg("'%s': '%s' does not say '%s'", wrong[i].flags, err.text, wrong[i].text);
	}
}

static const struct kvm_cpuid_entry2 *leaf(const struct cpuid_table *table, uint32_t function, uint32_t index)
{
	for (uint32_t i = 0; i < table->head.nent; i++)
		if (table->entries[i].function == function && table->entries[i].index == index)
			return &table->entries[i];
	fail_msg("no leaf 0x%x", function);
	return NULL;
}

static struct cpuid_table host_cpuid(void)
{
	return (struct cpuid_table) {
		.head.nent = 9,
		.entries = { { .function = 0, .eax = 0x1f },
			     { .function = 1, .ebx = 0x12345678, .ecx = UINT32_MAX, .edx = UINT32_MAX },
			     { .function = 4, .index = 3, .eax = 0xffffc063 },
			     { .function = 7, .ecx = UINT32_MAX, .edx = UINT32_MAX },
			     { .function = 0xa, .eax = UINT32_MAX },
			     { .function = 0xb, .eax = 99 },
			     { .function = 0x40000001, .eax = UINT32_MAX },
			     { .function = 0x80000001, .ecx = UINT32_MAX },
			     { .function = 0x80000008, .ecx = UINT32_MAX } },
	};
}

static void a_guest_sees_no_nested_virtualization_and_no_pmu(void **state)
{
	struct cpuid_table table = host_cpuid();

	(void)state;
	assert_int_equal(cpuid_make(&table, 0, 1), 0);
	assert_false(leaf(&table, 1, 0)->ecx & 1U << 5);
	assert_false(leaf(&table, 0x80000001, 0)->ecx & 1U << 2);
	assert_false(leaf(&table, 7, 0)->ecx & 1U << 5);
	assert_int_equal(leaf(&table, 0xa, 0)->eax, 0);
}

static void a_guest_sees_kvms_clock_and_the_deadline_timer(void **state)
{
	struct cpuid_table table = host_cpuid();

	(void)state;
	assert_int_equal(cpuid_make(&table, 0, 1), 0);
	assert_int_equal(leaf(&table, 0x40000001, 0)->eax, 1 << 0 | 1 << 1 | 1 << 3 | 1 << 6 | 1 << 12 | 1 << 24);
	assert_true(leaf(&table, 1, 0)->ecx & 1U << 24);
	assert_true(leaf(&table, 1, 0)->ecx & 1U << 31);
	assert_false(leaf(&table, 1, 0)->edx & 1U << 28); /* alone in its package */
}

static void each_vcpu_has_its_place_in_the_topology(void **state)
{
	(void)state;
	for (unsigned id = 0; id < 6; id++) {
		struct cpuid_table table = host_cpuid();

		assert_int_equal(cpuid_make(&table, id, 6), 0);
		assert_int_equal(leaf(&table, 1, 0)->ebx >> 24, id);
		assert_int_equal(leaf(&table, 1, 0)->ebx >> 16 & 0xff, 8); /* a power of two */
		assert_true(leaf(&table, 1, 0)->edx & 1U << 28);
		assert_int_equal(leaf(&table, 0xb, 0)->edx, id);
		assert_int_equal(leaf(&table, 0xb, 0)->ebx, 1);
		assert_int_equal(leaf(&table, 0xb, 1)->eax, 3);
		assert_int_equal(leaf(&table, 0xb, 1)->ebx, 6);
		assert_int_equal(leaf(&table, 0x1f, 1)->ebx, 6);
		assert_int_equal(leaf(&table, 0xb, 2)->ecx, 2);
		assert_int_equal(leaf(&table, 4, 3)->eax >> 14 & 0xfff, 5); /* all share the last cache */
		assert_int_equal(leaf(&table, 0x80000008, 0)->ecx & 0xff, 5);
		assert_int_equal(leaf(&table, 0x80000008, 0)->ecx >> 12 & 0xf, 3);
	}
}

static void a_snapshot_cannot_bring_back_what_is_hidden(void **state)
{
	static const struct kvm_cpuid_entry2 wrong[] = {
		{ .function = 1, .ecx = 1U << 5 },             /* VMX */
		{ .function = 7, .ecx = 1U << 5 },             /* WAITPKG */
		{ .function = 7, .index = 9, .ecx = 1U << 5 }, /* not flagged: KVM ignores the index */
		{ .function = 0xa, .eax = 1 },                 /* PMU */
		{ .function = 0x40000001, .eax = 1U << 4 },    /* async page faults */
		{ .function = 0x80000001, .ecx = 1U << 2 },    /* SVM */
	};
	const struct cpuid_table host = host_cpuid();
	struct cpuid_table table = host_cpuid();
	uint32_t where;

	(void)state;
	assert_int_equal(cpuid_make(&table, 0, 1), 0);
	assert_true(cpuid_is_offered(&table, &host, &where));
	table.head.nent++;
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		table.entries[table.head.nent - 1] = wrong[i];
		assert_false(cpuid_is_offered(&table, &host, &where));
		assert_int_equal(where, wrong[i].function);
	}
}

static void a_full_table_is_refused(void **state)
{
	static struct cpuid_table table;

	(void)state;
	table.head.nent = CPUID_ENTRIES_MAX;
	table.entries[0].eax = 0x1f;
	for (uint32_t i = 1; i < CPUID_ENTRIES_MAX; i++)
		table.entries[i].function = 0x20000000;
	assert_true(cpuid_make(&table, 0, 1) < 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(defaults_are_sensible),
		cmocka_unit_test(all_flags_are_taken),
		cmocka_unit_test(commands_need_no_kernel),
		cmocka_unit_test(mistakes_are_named),
		cmocka_unit_test(a_guest_sees_no_nested_virtualization_and_no_pmu),
		cmocka_unit_test(a_guest_sees_kvms_clock_and_the_deadline_timer),
		cmocka_unit_test(each_vcpu_has_its_place_in_the_topology),
		cmocka_unit_test(a_snapshot_cannot_bring_back_what_is_hidden),
		cmocka_unit_test(a_full_table_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
