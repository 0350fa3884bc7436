/*
 * Memory files: a guest's RAM as a snapshot keeps it. A base holds all pages, a layer only those that differ from the
 * files below it. Both have each page at its own place, so that a clone maps them (MAP_PRIVATE) instead of reading them:
 * all clones share the host's page cache, and pay for what they write.
 *
 *     [0, memory size)  the pages, in the order of guest_memory's regions; holes where there are none
 *     trailer           char[8] "HEARTHRM", u32 version, u32 page size, u64 memory size, u8[16] id of the snapshot,
 *                       u8[16] id of the file below (zero: this is a base), u64 number of extents, u32 CRC-32 of the
 *                       trailer's other fields and the extents
 *     extents           u64 offset, u64 length: where pages are, ascending
 *
 * Only the trailer has a checksum: reading all memory is what a clone must not do.
 */
#ifndef HEARTH_VMM_SNAPSHOT_MEMORY_FILE_H
#define HEARTH_VMM_SNAPSHOT_MEMORY_FILE_H

#include "common/error.h"
#include "vmm/guest_memory.h"
#include "vmm/snapshot/state_file.h"

enum {
	MEMORY_FILE_VERSION = 1,
	MEMORY_CHAIN_MAX = 8, /* files of one VM: a base and its layers */
};

/* The files that a VM's memory came from, base first; none if it was booted. */
struct memory_chain {
	uint8_t ids[MEMORY_CHAIN_MAX][SNAPSHOT_ID_SIZE];
	unsigned n_files;
};

/*
 * Writes the guest's memory into the empty file `fd`: all pages that are not zero, or, if `chain` is not empty, those
 * that the VM wrote since it was restored. The VM must be paused. Synced. 0, or negative with *err set.
 */
int memory_file_write(int fd, const struct guest_memory *memory, const struct memory_chain *chain,
		      const uint8_t id[SNAPSHOT_ID_SIZE], struct error *err);

/*
 * Maps the files at `paths`, base first, over `memory`, which must be fresh, and checks that they are the `chain`. What
 * is in more pieces than a process may have mappings is read. The descriptors are closed: the mappings hold the files.
 * Negative with *err set if a file is not what it should be.
 */
int memory_file_map(const char *const paths[], unsigned n_paths, const struct memory_chain *chain,
		    const struct guest_memory *memory, struct error *err);

#endif
