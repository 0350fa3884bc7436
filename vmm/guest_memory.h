/*
 * The guest's RAM: reserved in one mapping, shown to the guest in one or two regions (machine.h). The only place that
 * makes pointers of guest addresses, and always from an address and a length.
 */
#ifndef HEARTH_VMM_GUEST_MEMORY_H
#define HEARTH_VMM_GUEST_MEMORY_H

#include <stddef.h>
#include <stdint.h>

/* A guest-physical address. */
typedef uint64_t gpa_t;

struct guest_memory_region {
	gpa_t start;
	uint64_t size; /* bytes */
	uint8_t *host;
};

struct guest_memory {
	struct guest_memory_region regions[2]; /* ascending */
	unsigned n_regions;
	uint64_t size; /* bytes of all regions */
	void *mapping; /* what to unmap: larger than the RAM, so that the RAM is aligned */
	size_t mapping_size;
};

/*
 * Reserves `size` bytes (a multiple of the page size) of zeroed memory, aligned to 2 MiB so that the host can back it
 * with huge pages. Nothing is committed yet. Returns 0 or -errno.
 */
int guest_memory_init(struct guest_memory *memory, uint64_t size);
void guest_memory_fini(struct guest_memory *memory);

/*
 * The host's view of [gpa, gpa + length), or NULL unless all of it lies in one region of RAM. An empty range is
 * nowhere. The guest can change these bytes at any moment.
 */
void *guest_memory_get(const struct guest_memory *memory, gpa_t gpa, uint64_t length);

#endif
