/*
 * The guest-physical layout and the interrupt numbers of the machine that a guest sees: constants, nothing else.
 * docs/vmm.md draws the map.
 */
#ifndef HEARTH_VMM_MACHINE_H
#define HEARTH_VMM_MACHINE_H

#define MIB (1ULL << 20)
#define GIB (1ULL << 30)

enum {
	MACHINE_PAGE_SIZE = 4096,
	MACHINE_VCPUS_MAX = 16,
	MACHINE_MEMORY_MIN_MIB = 128,
	MACHINE_MEMORY_MAX_MIB = 16384,
	MACHINE_DISKS_MAX = 8,
	MACHINE_VIRTIO_MAX = MACHINE_DISKS_MAX + 3, /* disks, vsock, net, rng */
};

/* RAM is [0, 3 GiB) and, for what is above, [4 GiB, ...). Nothing between them is RAM. */
#define MACHINE_LOW_RAM_END    (3 * GIB)
#define MACHINE_HIGH_RAM_START (4 * GIB)

/* Devices, in the hole below 4 GiB. Each has a page of its own. */
#define MACHINE_SERIAL_BASE        0xd0000000ULL
#define MACHINE_PVPANIC_BASE       0xd0001000ULL
#define MACHINE_VMGENID_BASE       0xd0002000ULL /* a page of memory, not of registers */
#define MACHINE_PREFETCH_BASE      0xd0003000ULL /* of a clone: a page of code and its page tables, memory */
#define MACHINE_VIRTIO_BASE        0xd0010000ULL
#define MACHINE_WORKING_SET_BASE   0xd0100000ULL /* of a clone: the list of what is prefetched, read-only memory */
#define MACHINE_DEVICE_WINDOW_SIZE 0x1000ULL

#define MACHINE_IOAPIC_BASE 0xfec00000ULL
#define MACHINE_LAPIC_BASE  0xfee00000ULL
#define MACHINE_KVM_TSS     0xfffbd000ULL /* three pages that Intel hosts need; KVM's own */

/* Port I/O: the keyboard controller's command port, known for its reset line. */
enum {
	MACHINE_RESET_PORT = 0x64,
	MACHINE_RESET_COMMAND = 0xfe,
};

/*
 * Pins of the I/O APIC. KVM routes 16-23 there alone; below them the PIC has a share, and 0, 1, 2, 8, 9 and 12 have
 * owners that a kernel may look for.
 */
enum {
	MACHINE_SERIAL_PIN = 4,
	MACHINE_VMGENID_PIN = 5,
};

static inline unsigned machine_virtio_pin(unsigned index)
{
	static const unsigned char pins[MACHINE_VIRTIO_MAX] = { 16, 17, 18, 19, 20, 21, 22, 23, 10, 11, 6 };

	return pins[index];
}

#endif
