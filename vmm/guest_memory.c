#include "vmm/guest_memory.h"

#include "vmm/machine.h"

#include <errno.h>
#include <sys/mman.h>

static const uint64_t huge_page_size = 2 * MIB;

static void add_region(struct guest_memory *memory, gpa_t start, uint64_t size)
{
	struct guest_memory_region *region = &memory->regions[memory->n_regions++];
	uint8_t *host = memory->n_regions == 1 ? NULL : memory->regions[0].host + memory->regions[0].size;

	if (!host) {
		uintptr_t first = (uintptr_t)memory->mapping;

		host = (uint8_t *)((first + huge_page_size - 1) & ~(uintptr_t)(huge_page_size - 1));
	}
	*region = (struct guest_memory_region) { .start = start, .size = size, .host = host };
	memory->size += size;
}

int guest_memory_init(struct guest_memory *memory, uint64_t size)
{
	*memory = (struct guest_memory) { .mapping_size = size + huge_page_size };
	if (size == 0 || size % MACHINE_PAGE_SIZE)
		return -EINVAL;
	memory->mapping = mmap(NULL, memory->mapping_size, PROT_READ | PROT_WRITE,
			       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (memory->mapping == MAP_FAILED) {
		memory->mapping = NULL;
		return -errno;
	}
	/* Both are wishes: a host without huge pages or core dumps runs guests as well. */
	madvise(memory->mapping, memory->mapping_size, MADV_HUGEPAGE);
	madvise(memory->mapping, memory->mapping_size, MADV_DONTDUMP);

	if (size <= MACHINE_LOW_RAM_END) {
		add_region(memory, 0, size);
	} else {
		add_region(memory, 0, MACHINE_LOW_RAM_END);
		add_region(memory, MACHINE_HIGH_RAM_START, size - MACHINE_LOW_RAM_END);
	}
	return 0;
}

void guest_memory_fini(struct guest_memory *memory)
{
	if (memory->mapping)
		munmap(memory->mapping, memory->mapping_size);
	*memory = (struct guest_memory) { 0 };
}

void *guest_memory_get(const struct guest_memory *memory, gpa_t gpa, uint64_t length)
{
	if (length == 0)
		return NULL;
	for (unsigned i = 0; i < memory->n_regions; i++) {
		const struct guest_memory_region *region = &memory->regions[i];

		if (gpa < region->start || gpa - region->start >= region->size)
			continue;
		if (length > region->size - (gpa - region->start))
			return NULL;
		return region->host + (gpa - region->start);
	}
	return NULL;
}
