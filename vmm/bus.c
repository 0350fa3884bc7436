#include "vmm/bus.h"

#include <errno.h>
#include <string.h>

int bus_add(struct bus *bus, uint64_t start, uint64_t size, bus_access_fn *access, void *device)
{
	if (size == 0 || start + size - 1 < start)
		return -EINVAL;
	for (unsigned i = 0; i < bus->n_ranges; i++) {
		const struct bus_range *other = &bus->ranges[i];

		if (start <= other->start + other->size - 1 && other->start <= start + size - 1)
			return -EEXIST;
	}
	if (bus->n_ranges == BUS_RANGES_MAX)
		return -ENOSPC;
	bus->ranges[bus->n_ranges++] = (struct bus_range) { start, size, access, device };
	return 0;
}

void bus_access(const struct bus *bus, uint64_t address, uint8_t *data, unsigned length, bool is_write)
{
	if (!is_write)
		memset(data, 0xff, length);
	for (unsigned i = 0; i < bus->n_ranges; i++) {
		const struct bus_range *range = &bus->ranges[i];

		if (address < range->start || address - range->start >= range->size)
			continue;
		if (length <= range->size - (address - range->start))
			range->access(range->device, address - range->start, data, length, is_write);
		return;
	}
}
