#include "vmm/bus.h"
#include "vmm/guest_memory.h"
#include "vmm/machine.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <cmocka.h>

static void memory_is_aligned_for_huge_pages_and_zero(void **state)
{
	struct guest_memory memory;
	uint8_t *first;

	(void)state;
	assert_int_equal(guest_memory_init(&memory, 128 * MIB), 0);
	first = guest_memory_get(&memory, 0, 128 * MIB);
	assert_non_null(first);
	assert_int_equal((uintptr_t)first % (2 * MIB), 0);
	assert_int_equal(first[0], 0);
	assert_int_equal(first[128 * MIB - 1], 0);
	guest_memory_fini(&memory);
}

static void an_address_counts_only_with_its_length(void **state)
{
	struct guest_memory memory;
	const uint64_t size = 4 * MIB;

	(void)state;
	assert_int_equal(guest_memory_init(&memory, size), 0);
	assert_non_null(guest_memory_get(&memory, size - 1, 1));
	assert_null(guest_memory_get(&memory, size - 1, 2));
	assert_null(guest_memory_get(&memory, size, 1));
	assert_null(guest_memory_get(&memory, 0, size + 1));
	assert_null(guest_memory_get(&memory, 1, UINT64_MAX));
	assert_null(guest_memory_get(&memory, UINT64_MAX, 1));
	assert_null(guest_memory_get(&memory, UINT64_MAX, UINT64_MAX));
	assert_null(guest_memory_get(&memory, 0, 0));
	guest_memory_fini(&memory);
}

static void nothing_lies_in_the_hole_below_4_gib(void **state)
{
	struct guest_memory memory;

	(void)state;
	assert_int_equal(guest_memory_init(&memory, 3 * GIB + 8 * MIB), 0);
	assert_int_equal(memory.n_regions, 2);
	assert_int_equal(memory.size, 3 * GIB + 8 * MIB);
	assert_non_null(guest_memory_get(&memory, 3 * GIB - 1, 1));
	assert_null(guest_memory_get(&memory, 3 * GIB - 1, 2)); /* would run into the hole */
	assert_null(guest_memory_get(&memory, 3 * GIB, 1));
	assert_null(guest_memory_get(&memory, MACHINE_VIRTIO_BASE, 4));
	assert_null(guest_memory_get(&memory, 4 * GIB - 1, 2));
	assert_non_null(guest_memory_get(&memory, 4 * GIB, 8 * MIB));
	assert_null(guest_memory_get(&memory, 4 * GIB, 8 * MIB + 1));
	/* The second region is as well aligned as the first. */
	assert_int_equal((uintptr_t)guest_memory_get(&memory, 4 * GIB, 1) % (2 * MIB), 0);
	guest_memory_fini(&memory);
}

static void sizes_that_are_no_pages_are_refused(void **state)
{
	struct guest_memory memory;

	(void)state;
	assert_int_equal(guest_memory_init(&memory, 0), -EINVAL);
	assert_int_equal(guest_memory_init(&memory, 4097), -EINVAL);
}

struct access {
	uint64_t offset;
	unsigned length, n_calls;
	bool is_write;
};

static void record(void *device, uint64_t offset, uint8_t *data, unsigned length, bool is_write)
{
	struct access *access = device;

	*access = (struct access) { offset, length, access->n_calls + 1, is_write };
	if (!is_write)
		memset(data, 0x5a, length);
}

static void the_bus_finds_the_device_by_address(void **state)
{
	struct bus bus = { 0 };
	struct access first = { 0 }, second = { 0 };
	uint8_t data[8] = { 0 };

	(void)state;
	assert_int_equal(bus_add(&bus, 0x1000, 0x100, record, &first), 0);
	assert_int_equal(bus_add(&bus, 0x1100, 1, record, &second), 0);
	bus_access(&bus, 0x10fc, data, 4, false);
	assert_int_equal(first.offset, 0xfc);
	assert_int_equal(data[3], 0x5a);
	bus_access(&bus, 0x1100, data, 1, true);
	assert_int_equal(second.n_calls, 1);
	assert_true(second.is_write);
	assert_int_equal(first.n_calls, 1);
}

static void what_nobody_owns_reads_as_all_ones(void **state)
{
	struct bus bus = { 0 };
	struct access access = { 0 };
	uint8_t data[4] = { 0 };

	(void)state;
	assert_int_equal(bus_add(&bus, 0x1000, 0x100, record, &access), 0);
	bus_access(&bus, 0xfff, data, 1, false);
	assert_int_equal(data[0], 0xff);
	bus_access(&bus, 0x1100, data, 4, false);
	assert_memory_equal(data, "\xff\xff\xff\xff", 4);
	/* Half in, half out: nobody's. */
	bus_access(&bus, 0x10fe, data, 4, false);
	assert_memory_equal(data, "\xff\xff\xff\xff", 4);
	bus_access(&bus, 0x10fe, data, 4, true);
	assert_int_equal(access.n_calls, 0);
}

static void ranges_that_overlap_or_wrap_are_refused(void **state)
{
	struct bus bus = { 0 };
	struct access access = { 0 };

	(void)state;
	assert_int_equal(bus_add(&bus, 0x1000, 0x100, record, &access), 0);
	assert_int_equal(bus_add(&bus, 0x10ff, 1, record, &access), -EEXIST);
	assert_int_equal(bus_add(&bus, 0xfff, 2, record, &access), -EEXIST);
	assert_int_equal(bus_add(&bus, 0x2000, 0, record, &access), -EINVAL);
	assert_int_equal(bus_add(&bus, UINT64_MAX, 2, record, &access), -EINVAL);
	assert_int_equal(bus_add(&bus, UINT64_MAX, 1, record, &access), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(memory_is_aligned_for_huge_pages_and_zero),
		cmocka_unit_test(an_address_counts_only_with_its_length),
		cmocka_unit_test(nothing_lies_in_the_hole_below_4_gib),
		cmocka_unit_test(sizes_that_are_no_pages_are_refused),
		cmocka_unit_test(the_bus_finds_the_device_by_address),
		cmocka_unit_test(what_nobody_owns_reads_as_all_ones),
		cmocka_unit_test(ranges_that_overlap_or_wrap_are_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
