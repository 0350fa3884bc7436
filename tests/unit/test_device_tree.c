#include "vmm/device_tree.h"
#include "vmm/machine.h"

#include <libfdt.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <cmocka.h>

static uint8_t blob[DEVICE_TREE_MAX] __attribute__((aligned(8)));
static struct guest_memory memory;

static void build(uint64_t memory_size, unsigned n_vcpus, unsigned n_virtio)
{
	struct device_tree_machine machine = { .n_vcpus = n_vcpus, .n_virtio = n_virtio, .memory = &memory };
	int size;

	assert_int_equal(guest_memory_init(&memory, memory_size), 0);
	size = device_tree_build(&machine, blob);
	assert_true(size > 0 && size <= DEVICE_TREE_MAX);
	assert_int_equal(fdt_check_full(blob, (size_t)size), 0);
	guest_memory_fini(&memory);
}

static int node(const char *path)
{
	int offset = fdt_path_offset(blob, path);

	assert_true(offset >= 0);
	return offset;
}

static uint32_t cell(const char *path, const char *property, int index)
{
	int length;
	const fdt32_t *cells = fdt_getprop(blob, node(path), property, &length);

	assert_non_null(cells);
	assert_true(length >= 4 * (index + 1));
	return fdt32_to_cpu(cells[index]);
}

static unsigned count_compatible(const char *compatible)
{
	unsigned n = 0;

	for (int at = -1; (at = fdt_node_offset_by_compatible(blob, at, compatible)) >= 0;)
		n++;
	return n;
}

static void the_root_has_what_linux_asks_for(void **state)
{
	(void)state;
	build(128 * MIB, 1, 2);
	assert_non_null(fdt_getprop(blob, 0, "compatible", NULL));
	assert_int_equal(cell("/", "#address-cells", 0), 2);
	assert_int_equal(cell("/", "#size-cells", 0), 2);
}

static void interrupts_go_to_the_io_apic(void **state)
{
	(void)state;
	build(128 * MIB, 1, 2);
	assert_int_equal(cell("/", "interrupt-parent", 0), cell("/interrupt-controller@fec00000", "phandle", 0));
	assert_int_equal(cell("/interrupt-controller@fec00000", "#interrupt-cells", 0), 2);
	assert_int_equal(fdt_node_check_compatible(blob, node("/interrupt-controller@fec00000"), "intel,ce4100-ioapic"),
			 0);
	assert_int_equal(fdt_node_check_compatible(blob, node("/interrupt-controller@fee00000"), "intel,ce4100-lapic"),
			 0);
}

static void each_vcpu_is_there_under_its_apic_id(void **state)
{
	char path[32];

	(void)state;
	build(128 * MIB, MACHINE_VCPUS_MAX, 2);
	for (unsigned id = 0; id < MACHINE_VCPUS_MAX; id++) {
		snprintf(path, sizeof(path), "/cpus/cpu@%x", id);
		assert_int_equal(cell(path, "reg", 0), id);
		assert_string_equal(fdt_getprop(blob, node(path), "device_type", NULL), "cpu");
	}
	assert_true(fdt_path_offset(blob, "/cpus/cpu@10") < 0);
}

static void virtio_devices_have_windows_and_pins_of_their_own(void **state)
{
	uint32_t pins_seen = 0;
	char path[32];

	(void)state;
	build(128 * MIB, 1, MACHINE_VIRTIO_MAX);
	assert_int_equal(count_compatible("virtio,mmio"), MACHINE_VIRTIO_MAX);
	for (unsigned i = 0; i < MACHINE_VIRTIO_MAX; i++) {
		const uint64_t base = MACHINE_VIRTIO_BASE + i * MACHINE_DEVICE_WINDOW_SIZE;
		uint32_t pin;

		snprintf(path, sizeof(path), "/virtio@%llx", (unsigned long long)base);
		assert_int_equal(cell(path, "reg", 1), base);
		pin = cell(path, "interrupts", 0);
		assert_true(pin < 24 && !(pins_seen & 1U << pin));
		assert_true(pin != MACHINE_SERIAL_PIN && pin != MACHINE_VMGENID_PIN);
		assert_int_equal(cell(path, "interrupts", 1), 3); /* rising edge, in x86's numbering */
		pins_seen |= 1U << pin;
	}
}

static void the_platform_devices_are_there(void **state)
{
	(void)state;
	build(128 * MIB, 1, 0);
	assert_int_equal(cell("/serial@d0000000", "interrupts", 0), 4);
	assert_int_equal(cell("/serial@d0000000", "clock-frequency", 0), 1843200);
	assert_int_equal(count_compatible("ns16550a"), 1);
	assert_int_equal(count_compatible("qemu,pvpanic-mmio"), 1);
	assert_int_equal(count_compatible("microsoft,vmgenid"), 1);
	assert_int_equal(count_compatible("virtio,mmio"), 0);
}

static void memory_above_the_hole_has_a_node_of_its_own(void **state)
{
	(void)state;
	build(3 * GIB + 512 * MIB, 1, 2);
	assert_int_equal(cell("/memory@0", "reg", 3), 3 * GIB);
	assert_int_equal(cell("/memory@100000000", "reg", 0), 1);
	assert_int_equal(cell("/memory@100000000", "reg", 3), 512 * MIB);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_root_has_what_linux_asks_for),
		cmocka_unit_test(interrupts_go_to_the_io_apic),
		cmocka_unit_test(each_vcpu_is_there_under_its_apic_id),
		cmocka_unit_test(virtio_devices_have_windows_and_pins_of_their_own),
		cmocka_unit_test(the_platform_devices_are_there),
		cmocka_unit_test(memory_above_the_hole_has_a_node_of_its_own),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
