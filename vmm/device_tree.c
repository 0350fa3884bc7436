#include "vmm/device_tree.h"

#include "vmm/machine.h"

#include <errno.h>
#include <libfdt.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

enum {
	IOAPIC_PHANDLE = 1,
	/* Second cell of an interrupt. The index of x86's I/O APIC binding: on other machines 3 means something else. */
	EDGE_RISING = 3,
	UART_CLOCK_HZ = 1843200,
};

/* The first error sticks, so that the builders below need no checks of their own. */
struct builder {
	void *blob;
	int error; /* 0 or -FDT_ERR_* */
};

static void keep(struct builder *b, int error)
{
	if (b->error == 0 && error < 0)
		b->error = error;
}

static void begin(struct builder *b, const char *name, bool has_address, uint64_t address)
{
	char full[64];

	if (has_address)
		snprintf(full, sizeof(full), "%s@%llx", name, (unsigned long long)address);
	else
		snprintf(full, sizeof(full), "%s", name);
	keep(b, fdt_begin_node(b->blob, full));
}

static void end(struct builder *b)
{
	keep(b, fdt_end_node(b->blob));
}

static void put_string(struct builder *b, const char *name, const char *value)
{
	keep(b, fdt_property(b->blob, name, value, (int)strlen(value) + 1));
}

static void put_u32(struct builder *b, const char *name, uint32_t value)
{
	keep(b, fdt_property_u32(b->blob, name, value));
}

static void put_empty(struct builder *b, const char *name)
{
	keep(b, fdt_property(b->blob, name, NULL, 0));
}

static void put_reg(struct builder *b, uint64_t address, uint64_t size)
{
	const fdt64_t reg[2] = { cpu_to_fdt64(address), cpu_to_fdt64(size) };

	keep(b, fdt_property(b->blob, "reg", reg, sizeof(reg)));
}

static void put_interrupt(struct builder *b, unsigned pin)
{
	const fdt32_t cells[2] = { cpu_to_fdt32(pin), cpu_to_fdt32(EDGE_RISING) };

	keep(b, fdt_property(b->blob, "interrupts", cells, sizeof(cells)));
}

static void build_cpus(struct builder *b, unsigned n_vcpus)
{
	begin(b, "cpus", false, 0);
	put_u32(b, "#address-cells", 1);
	put_u32(b, "#size-cells", 0);
	for (unsigned id = 0; id < n_vcpus; id++) {
		begin(b, "cpu", true, id);
		put_string(b, "device_type", "cpu");
		put_u32(b, "reg", id);
		end(b);
	}
	end(b);
}

static void build_memory(struct builder *b, const struct guest_memory *memory)
{
	for (unsigned i = 0; i < memory->n_regions; i++) {
		begin(b, "memory", true, memory->regions[i].start);
		put_string(b, "device_type", "memory");
		put_reg(b, memory->regions[i].start, memory->regions[i].size);
		end(b);
	}
}

static void build_interrupt_controllers(struct builder *b)
{
	begin(b, "interrupt-controller", true, MACHINE_LAPIC_BASE);
	put_string(b, "compatible", "intel,ce4100-lapic");
	put_reg(b, MACHINE_LAPIC_BASE, 0x1000);
	end(b);

	begin(b, "interrupt-controller", true, MACHINE_IOAPIC_BASE);
	put_string(b, "compatible", "intel,ce4100-ioapic");
	put_reg(b, MACHINE_IOAPIC_BASE, 0x1000);
	put_empty(b, "interrupt-controller");
	put_u32(b, "#interrupt-cells", 2);
	put_u32(b, "phandle", IOAPIC_PHANDLE);
	end(b);
}

static void build_device(struct builder *b, const char *name, const char *compatible, uint64_t base, uint64_t size)
{
	begin(b, name, true, base);
	put_string(b, "compatible", compatible);
	put_reg(b, base, size);
}

static void build_devices(struct builder *b, unsigned n_virtio)
{
	build_device(b, "serial", "ns16550a", MACHINE_SERIAL_BASE, 8);
	put_u32(b, "clock-frequency", UART_CLOCK_HZ);
	put_interrupt(b, MACHINE_SERIAL_PIN);
	end(b);

	build_device(b, "pvpanic", "qemu,pvpanic-mmio", MACHINE_PVPANIC_BASE, 2);
	end(b);

	build_device(b, "vmgenid", "microsoft,vmgenid", MACHINE_VMGENID_BASE, MACHINE_PAGE_SIZE);
	put_interrupt(b, MACHINE_VMGENID_PIN);
	end(b);

	for (unsigned i = 0; i < n_virtio; i++) {
		build_device(b, "virtio", "virtio,mmio", MACHINE_VIRTIO_BASE + i * MACHINE_DEVICE_WINDOW_SIZE, 0x200);
		put_interrupt(b, machine_virtio_pin(i));
		end(b);
	}
}

int device_tree_build(const struct device_tree_machine *machine, void *blob)
{
	struct builder b = { .blob = blob };

	keep(&b, fdt_create(blob, DEVICE_TREE_MAX));
	keep(&b, fdt_finish_reservemap(blob));
	begin(&b, "", false, 0);
	/* Without `compatible` at the root, Linux on x86 ignores the whole tree. */
	put_string(&b, "compatible", "hearth,microvm");
	put_string(&b, "model", "Hearth microVM");
	put_u32(&b, "#address-cells", 2);
	put_u32(&b, "#size-cells", 2);
	put_u32(&b, "interrupt-parent", IOAPIC_PHANDLE);
	build_cpus(&b, machine->n_vcpus);
	build_memory(&b, machine->memory);
	build_interrupt_controllers(&b);
	build_devices(&b, machine->n_virtio);
	end(&b);
	keep(&b, fdt_finish(blob));
	return b.error ? -ENOSPC : (int)fdt_totalsize(blob);
}
