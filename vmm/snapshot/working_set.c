#include "vmm/snapshot/working_set.h"

#include "common/bytes.h"
#include "common/cleanup.h"
#include "common/crc32.h"
#include "vmm/host_file.h"
#include "vmm/machine.h"
#include "vmm/snapshot/file_io.h"

#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

enum {
	MAGIC_SIZE = 8,
	CHECKED_SIZE = MAGIC_SIZE + 4 + 4 + 4 + SNAPSHOT_ID_SIZE,
	LIST_OFFSET = MACHINE_PAGE_SIZE,
};

static const char magic[MAGIC_SIZE + 1] = "HEARTHWS";

/* ---- using one --------------------------------------------------------------------------------------------------- */

static uint32_t page_of(const struct working_set *set, uint32_t index)
{
	return le32toh(set->pages[index]);
}

/* What a session was copied from still tells what its interpreter touches. */
static bool is_in_chain(const uint8_t id[SNAPSHOT_ID_SIZE], const struct memory_chain *chain)
{
	for (unsigned i = 0; i < chain->n_files; i++)
		if (memcmp(id, chain->ids[i], SNAPSHOT_ID_SIZE) == 0)
			return true;
	return false;
}

static int check(struct working_set *set, const struct memory_chain *chain, const struct guest_memory *memory,
		 struct error *err)
{
	struct bytes in = bytes_from(set->mapping, set->size);
	const bool is_ours = memcmp(bytes_take(&in, MAGIC_SIZE), magic, MAGIC_SIZE) == 0;
	const uint32_t version = bytes_get_u32(&in);
	const uint8_t *id;
	uint32_t checksum;

	set->n_written = bytes_get_u32(&in);
	set->n_pages = bytes_get_u32(&in);
	id = bytes_take(&in, SNAPSHOT_ID_SIZE);
	checksum = bytes_get_u32(&in);
	if (!is_ours || version != WORKING_SET_VERSION)
		return error_set(err, EINVAL, "not a working set of this format");
	if (!is_in_chain(id, chain))
		return error_set(err, EINVAL, "of another snapshot");
	if (set->n_pages > WORKING_SET_PAGES_MAX || set->n_written > set->n_pages ||
	    set->size != LIST_OFFSET + (size_t)set->n_pages * 4)
		return error_set(err, EINVAL, "truncated or damaged");
	set->pages = (const void *)((const uint8_t *)set->mapping + LIST_OFFSET);
	if (crc32_of(crc32_of(0, set->mapping, CHECKED_SIZE), set->pages, (size_t)set->n_pages * 4) != checksum)
		return error_set(err, EINVAL, "damaged: its checksum is wrong");
	for (uint32_t i = 0; i < set->n_pages; i++) {
		const gpa_t gpa = (gpa_t)page_of(set, i) * MACHINE_PAGE_SIZE;

		if (gpa >= MACHINE_LOW_RAM_END || !guest_memory_get(memory, gpa, MACHINE_PAGE_SIZE))
			return error_set(err, EINVAL, "damaged: page 0x%x is not within memory", page_of(set, i));
	}
	return 0;
}

int working_set_open(struct working_set *set, const char *path, const struct memory_chain *chain,
		     const struct guest_memory *memory, struct error *err)
{
	AUTO_FD int fd = host_file_open(path, O_RDONLY | O_CLOEXEC);
	struct stat status;
	void *mapping;

	*set = (struct working_set) { 0 };
	if (fd < 0 || fstat(fd, &status) < 0)
		return error_set(err, errno, "working set %s: %s", path, strerror(errno));
	if (!S_ISREG(status.st_mode) || status.st_size < LIST_OFFSET ||
	    status.st_size > LIST_OFFSET + WORKING_SET_PAGES_MAX * 4)
		return error_set(err, EINVAL, "working set %s: not one, or damaged", path);
	mapping = mmap(NULL, (size_t)status.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
	if (mapping == MAP_FAILED)
		return error_set(err, errno, "working set %s: %s", path, strerror(errno));
	set->mapping = mapping;
	set->size = (size_t)status.st_size;
	if (check(set, chain, memory, err) < 0) {
		working_set_close(set);
		return error_wrap(err, "working set %s", path);
	}
	return 0;
}

void working_set_close(struct working_set *set)
{
	if (set->mapping)
		munmap(set->mapping, set->size);
	*set = (struct working_set) { 0 };
}

uint32_t working_set_n_early(const struct working_set *set)
{
	return set->n_written < WORKING_SET_COPIES ? set->n_written : WORKING_SET_COPIES;
}

uint32_t working_set_n_late(const struct working_set *set)
{
	const uint32_t n = set->n_written - working_set_n_early(set);

	return n < WORKING_SET_LATE_COPIES ? n : WORKING_SET_LATE_COPIES;
}

/* Touches each page, by a write that changes nothing and loses nothing of what the guest writes at the same moment. */
static void touch(uint8_t *start, uint64_t size)
{
	for (uint64_t offset = 0; offset < size; offset += MACHINE_PAGE_SIZE)
		__atomic_fetch_or(start + offset, 0, __ATOMIC_RELAXED);
}

/* All of a run at once where the kernel can (5.14). */
static void copy_run(const struct guest_memory *memory, uint32_t first_page, uint32_t n_pages)
{
	const uint64_t size = (uint64_t)n_pages * MACHINE_PAGE_SIZE;
	uint8_t *start = guest_memory_get(memory, (gpa_t)first_page * MACHINE_PAGE_SIZE, size);

	if (n_pages && madvise(start, size, MADV_POPULATE_WRITE) < 0)
		touch(start, size);
}

void working_set_copy(const struct working_set *set, const struct guest_memory *memory, uint32_t first, uint32_t end)
{
	uint32_t start = 0, n = 0; /* the run */

	for (uint32_t i = first; i < set->n_written && i < end; i++) {
		if (n && page_of(set, i) != start + n) {
			copy_run(memory, start, n);
			n = 0;
		}
		if (n++ == 0)
			start = page_of(set, i);
	}
	copy_run(memory, start, n);
}

/* ---- the file ---------------------------------------------------------------------------------------------------- */

static void fill_header(uint8_t header[LIST_OFFSET], const uint8_t id[SNAPSHOT_ID_SIZE], uint32_t n_written,
			const uint32_t *list, uint32_t n_pages)
{
	struct bytes out = bytes_over(header, LIST_OFFSET);

	bytes_put(&out, magic, MAGIC_SIZE);
	bytes_put_u32(&out, WORKING_SET_VERSION);
	bytes_put_u32(&out, n_written);
	bytes_put_u32(&out, n_pages);
	bytes_put(&out, id, SNAPSHOT_ID_SIZE);
	bytes_put_u32(&out, crc32_of(crc32_of(0, header, CHECKED_SIZE), list, (size_t)n_pages * 4));
}

static int compare(const void *a, const void *b)
{
	const uint32_t x = le32toh(*(const uint32_t *)a), y = le32toh(*(const uint32_t *)b);

	return x < y ? -1 : x > y;
}

/*
 * The touched pages as a list, those that were written first. Returns their number. What is copied together stands in
 * ascending order, so that neighbours are copied in one go.
 */
static uint32_t sort_pages(const struct working_set_recorder *recorder, uint32_t *list, uint32_t *n_written)
{
	uint32_t n = 0, n_early;

	for (int is_written = 1; is_written >= 0; is_written--) {
		for (uint32_t i = 0; i < recorder->n_pages; i++) {
			if (recorder->is_written[recorder->pages[i]] == (is_written == 1))
				list[n++] = htole32(recorder->pages[i]);
		}
		if (is_written)
			*n_written = n;
	}
	n_early = *n_written < WORKING_SET_COPIES ? *n_written : WORKING_SET_COPIES;
	qsort(list, n_early, sizeof(*list), compare);
	qsort(list + n_early, *n_written - n_early, sizeof(*list), compare);
	qsort(list + *n_written, n - *n_written, sizeof(*list), compare);
	return n;
}

int working_set_write(struct working_set_recorder *recorder, const struct memory_chain *chain, const char *path,
		      struct error *err)
{
	AUTO_FD int fd = host_file_open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC);
	AUTO_FREE uint32_t *list = malloc(((size_t)recorder->n_pages + 1) * 4);
	uint8_t header[LIST_OFFSET] = { 0 };
	uint32_t n_written = 0, n_pages;
	int status;

	if (fd < 0 || !list)
		return error_set(err, errno, "cannot write the working set %s: %s", path, strerror(errno));
	n_pages = sort_pages(recorder, list, &n_written);
	fill_header(header, chain->ids[chain->n_files - 1], n_written, list, n_pages);
	status = file_write_at(fd, header, sizeof(header), 0);
	if (status == 0)
		status = file_write_at(fd, list, (size_t)n_pages * 4, sizeof(header));
	return status < 0 ? error_set(err, -status, "cannot write the working set %s: %s", path, strerror(-status)) : 0;
}
