/*
 * From an address to the device that owns it, for MMIO and for port I/O. Filled before the vCPUs run and only read
 * after, so it needs no lock.
 */
#ifndef HEARTH_VMM_BUS_H
#define HEARTH_VMM_BUS_H

#include <stdbool.h>
#include <stdint.h>

enum { BUS_RANGES_MAX = 20 };

/*
 * One access of `length` (1, 2, 4 or 8) bytes, wholly inside the device's range. A write takes `data`, a read fills it
 * (it comes as all ones). Called on the vCPU's thread: must not block.
 */
typedef void bus_access_fn(void *device, uint64_t offset, uint8_t *data, unsigned length, bool is_write);

struct bus_range {
	uint64_t start, size;
	bus_access_fn *access;
	void *device;
};

struct bus {
	struct bus_range ranges[BUS_RANGES_MAX];
	unsigned n_ranges;
};

/* 0, -EINVAL for an empty or wrapping range, -EEXIST if it overlaps another, -ENOSPC if the table is full. */
int bus_add(struct bus *bus, uint64_t start, uint64_t size, bus_access_fn *access, void *device);

/* What nobody owns reads as all ones and swallows writes, as on real machines. */
void bus_access(const struct bus *bus, uint64_t address, uint8_t *data, unsigned length, bool is_write);

#endif
