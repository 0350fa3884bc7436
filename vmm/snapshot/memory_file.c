#include "vmm/snapshot/memory_file.h"

#include "common/bytes.h"
#include "common/crc32.h"
#include "vmm/host_file.h"
#include "vmm/machine.h"
#include "vmm/snapshot/file_io.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
	MAGIC_SIZE = 8,
	TRAILER_SIZE = MAGIC_SIZE + 4 + 4 + 8 + 2 * SNAPSHOT_ID_SIZE + 8 + 4,
	CHECKED_SIZE = TRAILER_SIZE - 4, /* of the trailer, without the checksum */
	EXTENT_SIZE = 16,
	EXTENTS_MAX = 1 << 22, /* every second page of the largest guest is 2^21 */
	PAGEMAP_PAGES = 512,   /* that are looked up at a time */
	HOLE_MIN = 2 << 20,    /* bytes of a base without pages that are worth not being mapped */
	RANGES_MAX = 24000,    /* each splits a mapping in three, and Linux gives a process 65,530 (vm.max_map_count) */
};

/* The kernel's Documentation/admin-guide/mm/pagemap.rst. */
#define PAGEMAP_FILE    (1ULL << 61) /* of a file: not written since it was mapped privately */
#define PAGEMAP_SWAPPED (1ULL << 62)
#define PAGEMAP_PRESENT (1ULL << 63)

static const char magic[MAGIC_SIZE + 1] = "HEARTHRM";

/* ---- writing ----------------------------------------------------------------------------------------------------- */

struct writing {
	int fd, pagemap;
	const struct guest_memory *memory;
	bool is_layer;
	uint8_t *extents;
	size_t n_extents, capacity;
	uint64_t run_start, run_end; /* offsets of pages that are to be written and are not yet */
};

static uint8_t *page_at(const struct guest_memory *memory, uint64_t offset)
{
	return memory->regions[0].host + offset; /* the regions follow each other there */
}

static bool is_zero(const uint8_t *page)
{
	static const uint8_t zero[MACHINE_PAGE_SIZE];

	return memcmp(page, zero, MACHINE_PAGE_SIZE) == 0;
}

static int add_extent(struct writing *w)
{
	struct bytes out;

	if (w->n_extents == w->capacity) {
		size_t capacity = w->capacity ? 2 * w->capacity : 1024;
		uint8_t *extents = realloc(w->extents, capacity * EXTENT_SIZE);

		if (!extents)
			return -ENOMEM;
		w->extents = extents;
		w->capacity = capacity;
	}
	out = bytes_over(w->extents + w->n_extents * EXTENT_SIZE, EXTENT_SIZE);
	bytes_put_u64(&out, w->run_start);
	bytes_put_u64(&out, w->run_end - w->run_start);
	w->n_extents++;
	return 0;
}

static int write_run(struct writing *w)
{
	int status = 0;

	if (w->run_end > w->run_start) {
		status =
			file_write_at(w->fd, page_at(w->memory, w->run_start), w->run_end - w->run_start, w->run_start);
		if (status == 0)
			status = add_extent(w);
	}
	return status;
}

static bool is_wanted(const struct writing *w, uint64_t entry, uint64_t offset)
{
	/* What is neither present nor swapped was never touched: zero in a base, the file's in a layer. */
	if (!(entry & (PAGEMAP_PRESENT | PAGEMAP_SWAPPED)))
		return false;
	return w->is_layer ? !(entry & PAGEMAP_FILE) : !is_zero(page_at(w->memory, offset));
}

static int write_pages(struct writing *w)
{
	uint64_t entries[PAGEMAP_PAGES];
	const uint64_t first_page = (uintptr_t)w->memory->regions[0].host / MACHINE_PAGE_SIZE;
	const uint64_t n_pages = w->memory->size / MACHINE_PAGE_SIZE;
	int status = 0;

	for (uint64_t page = 0; page < n_pages && status == 0; page += PAGEMAP_PAGES) {
		uint64_t n = n_pages - page < PAGEMAP_PAGES ? n_pages - page : PAGEMAP_PAGES;

		if (pread(w->pagemap, entries, n * 8, (off_t)((first_page + page) * 8)) != (ssize_t)(n * 8))
			return -EIO;
		for (uint64_t i = 0; i < n && status == 0; i++) {
			const uint64_t offset = (page + i) * MACHINE_PAGE_SIZE;

			if (!is_wanted(w, entries[i], offset))
				continue;
			if (w->run_end != offset) {
				status = write_run(w);
				w->run_start = offset;
			}
			w->run_end = offset + MACHINE_PAGE_SIZE;
		}
	}
	return status == 0 ? write_run(w) : status;
}

static int write_trailer(struct writing *w, const struct memory_chain *chain, const uint8_t id[SNAPSHOT_ID_SIZE])
{
	static const uint8_t none[SNAPSHOT_ID_SIZE];
	const uint64_t end = w->memory->size;
	uint8_t trailer[TRAILER_SIZE];
	struct bytes out = bytes_over(trailer, sizeof(trailer));
	uint32_t checksum;
	int status;

	bytes_put(&out, magic, MAGIC_SIZE);
	bytes_put_u32(&out, MEMORY_FILE_VERSION);
	bytes_put_u32(&out, MACHINE_PAGE_SIZE);
	bytes_put_u64(&out, end);
	bytes_put(&out, id, SNAPSHOT_ID_SIZE);
	bytes_put(&out, chain->n_files ? chain->ids[chain->n_files - 1] : none, SNAPSHOT_ID_SIZE);
	bytes_put_u64(&out, w->n_extents);
	checksum = crc32_of(0, trailer, CHECKED_SIZE);
	bytes_put_u32(&out, crc32_of(checksum, w->extents, w->n_extents * EXTENT_SIZE));
	status = file_write_at(w->fd, trailer, sizeof(trailer), end);
	return status < 0 ? status : file_write_at(w->fd, w->extents, w->n_extents * EXTENT_SIZE, end + TRAILER_SIZE);
}

/* Asked for once, and kept: in the jail there is no second. */
static int open_pagemap(void)
{
	static int fd = -1;

	if (fd < 0)
		fd = host_file_open(HOST_FILE_PAGEMAP, O_RDONLY | O_CLOEXEC);
	return fd;
}

int memory_file_write(int fd, const struct guest_memory *memory, const struct memory_chain *chain,
		      const uint8_t id[SNAPSHOT_ID_SIZE], struct error *err)
{
	const int pagemap = open_pagemap();
	struct writing w = { .fd = fd, .pagemap = pagemap, .memory = memory, .is_layer = chain->n_files > 0 };
	int status;

	if (pagemap < 0)
		return error_set(err, errno, "cannot read " HOST_FILE_PAGEMAP ": %s", strerror(errno));
	if (chain->n_files == MEMORY_CHAIN_MAX)
		return error_set(err, EMLINK,
				 "the VM's memory stands on %d files already, which is the most; snapshot it "
				 "from a VM that was booted",
				 MEMORY_CHAIN_MAX);
	status = write_pages(&w);
	if (status == 0)
		status = write_trailer(&w, chain, id);
	free(w.extents);
	if (status == 0 && fdatasync(fd) < 0 && errno != EINVAL)
		status = -errno;
	return status < 0 ? error_set(err, -status, "cannot write the memory file: %s", strerror(-status)) : 0;
}

/* ---- mapping ----------------------------------------------------------------------------------------------------- */

struct mapping {
	int fd;
	uint64_t n_extents;
	uint8_t *extents; /* malloc'd */
	uint8_t id[SNAPSHOT_ID_SIZE], below[SNAPSHOT_ID_SIZE];
	unsigned *n_ranges; /* mapped so far, of all files */
};

static int check_trailer(struct mapping *m, const uint8_t trailer[TRAILER_SIZE], uint64_t memory_size,
			 uint64_t file_size, struct error *err)
{
	struct bytes in = bytes_from(trailer, TRAILER_SIZE);
	const bool is_ours = memcmp(bytes_take(&in, MAGIC_SIZE), magic, MAGIC_SIZE) == 0;
	const uint32_t version = bytes_get_u32(&in), page_size = bytes_get_u32(&in);
	uint32_t checksum;

	if (!is_ours)
		return error_set(err, EINVAL, "not a memory file of a guest of %llu MiB",
				 (unsigned long long)(memory_size / MIB));
	if (version != MEMORY_FILE_VERSION || page_size != MACHINE_PAGE_SIZE)
		return error_set(err, EINVAL, "of format %u with pages of %u bytes, this hearth-vmm reads %d and %d",
				 version, page_size, MEMORY_FILE_VERSION, MACHINE_PAGE_SIZE);
	if (bytes_get_u64(&in) != memory_size)
		return error_set(err, EINVAL, "damaged: it is of a guest of another size");
	memcpy(m->id, bytes_take(&in, SNAPSHOT_ID_SIZE), SNAPSHOT_ID_SIZE);
	memcpy(m->below, bytes_take(&in, SNAPSHOT_ID_SIZE), SNAPSHOT_ID_SIZE);
	m->n_extents = bytes_get_u64(&in);
	checksum = bytes_get_u32(&in);
	if (m->n_extents > EXTENTS_MAX || file_size != memory_size + TRAILER_SIZE + m->n_extents * EXTENT_SIZE)
		return error_set(err, EINVAL, "truncated or damaged: its length is not what it says");
	m->extents = malloc(m->n_extents * EXTENT_SIZE + 1);
	if (!m->extents)
		return error_set(err, ENOMEM, "out of memory");
	if (file_read_at(m->fd, m->extents, m->n_extents * EXTENT_SIZE, memory_size + TRAILER_SIZE) < 0)
		return error_set(err, EIO, "cannot be read");
	if (crc32_of(crc32_of(0, trailer, CHECKED_SIZE), m->extents, m->n_extents * EXTENT_SIZE) != checksum)
		return error_set(err, EINVAL, "damaged: its checksum is wrong");
	return 0;
}

static int open_file(struct mapping *m, const char *path, uint64_t memory_size, struct error *err)
{
	uint8_t trailer[TRAILER_SIZE];
	struct stat status;

	m->fd = host_file_open(path, O_RDONLY | O_CLOEXEC);
	if (m->fd < 0 || fstat(m->fd, &status) < 0)
		return error_set(err, errno, "cannot be opened: %s", strerror(errno));
	if (!S_ISREG(status.st_mode) || (uint64_t)status.st_size < memory_size + TRAILER_SIZE)
		return error_set(err, EINVAL, "truncated, or of a smaller guest");
	if (file_read_at(m->fd, trailer, sizeof(trailer), memory_size) < 0)
		return error_set(err, EIO, "cannot be read");
	return check_trailer(m, trailer, memory_size, (uint64_t)status.st_size, err);
}

/* A guest may have written every second page: what there are no mappings for is read, and is the clone's own then. */
static int map_range(const struct mapping *m, const struct guest_memory *memory, uint64_t offset, uint64_t length,
		     struct error *err)
{
	void *at = page_at(memory, offset);

	if (*m->n_ranges == RANGES_MAX)
		return file_read_at(m->fd, at, length, offset) < 0 ? error_set(err, EIO, "cannot be read") : 0;
	++*m->n_ranges;
	if (mmap(at, length, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_FIXED | MAP_NORESERVE, m->fd, (off_t)offset) !=
	    at)
		return error_set(err, errno, "cannot be mapped: %s", strerror(errno));
	madvise(at, length, MADV_DONTDUMP);
	return 0;
}

/*
 * Maps where pages are. Between two that are no further apart than `gap_max` bytes the file is mapped, too: a mapping has
 * its price. What is not mapped stays as it was: in a base that is fresh memory, zero as the file's hole is. On a tmpfs
 * each page of a hole would take room in the file as soon as a guest touched it.
 */
static int map_extents(const struct mapping *m, const struct guest_memory *memory, uint64_t gap_max, struct error *err)
{
	struct bytes in = bytes_from(m->extents, m->n_extents * EXTENT_SIZE);
	uint64_t start = 0, end = 0;
	int status = 0;

	for (uint64_t i = 0; i < m->n_extents && status == 0; i++) {
		const uint64_t offset = bytes_get_u64(&in), length = bytes_get_u64(&in);

		if (offset % MACHINE_PAGE_SIZE || length % MACHINE_PAGE_SIZE || length == 0 || offset < end ||
		    offset >= memory->size || length > memory->size - offset)
			return error_set(err, EINVAL, "damaged: an extent is not within memory");
		if (offset - end > gap_max) {
			status = start < end ? map_range(m, memory, start, end - start, err) : 0;
			start = offset;
		}
		end = offset + length;
	}
	return status == 0 && start < end ? map_range(m, memory, start, end - start, err) : status;
}

/* Clones must not get more of a hole than they touch. */
static int map_base(const struct mapping *m, const struct guest_memory *memory, struct error *err)
{
	if (madvise(page_at(memory, 0), memory->size, MADV_NOHUGEPAGE) < 0 && errno != EINVAL)
		return error_set(err, errno, "cannot be mapped: %s", strerror(errno));
	return map_extents(m, memory, HOLE_MIN, err);
}

static int map_file(struct mapping *m, const char *path, unsigned index, const struct memory_chain *chain,
		    const struct guest_memory *memory, struct error *err)
{
	static const uint8_t none[SNAPSHOT_ID_SIZE];
	int status = open_file(m, path, memory->size, err);

	if (status < 0)
		return status;
	if (memcmp(m->id, chain->ids[index], SNAPSHOT_ID_SIZE) != 0 ||
	    memcmp(m->below, index ? chain->ids[index - 1] : none, SNAPSHOT_ID_SIZE) != 0)
		return error_set(err, EINVAL, "of another snapshot: it does not belong at place %u of this one's chain",
				 index + 1);
	return index ? map_extents(m, memory, 0, err) : map_base(m, memory, err);
}

int memory_file_map(const char *const paths[], unsigned n_paths, const struct memory_chain *chain,
		    const struct guest_memory *memory, struct error *err)
{
	unsigned n_ranges = 0;

	if (n_paths != chain->n_files)
		return error_set(err, EINVAL, "the snapshot stands on %u memory files, %u were given", chain->n_files,
				 n_paths);
	for (unsigned i = 0; i < n_paths; i++) {
		struct mapping m = { .fd = -1, .n_ranges = &n_ranges };
		int status = map_file(&m, paths[i], i, chain, memory, err);

		free(m.extents);
		if (m.fd >= 0)
			close(m.fd);
		if (status < 0)
			return error_wrap(err, "memory file %s", paths[i]);
	}
	return 0;
}
