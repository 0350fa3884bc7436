/*
 * The working set of a template: the pages that a clone touches from its restore to its first result. One clone is run
 * in recording mode and writes the file; every later clone has those pages ready before it is needed: what will be
 * written is copied (as far as a budget goes), all of it is entered into the nested page tables (arch_prefetch()). Only
 * an advice: a file that does not fit is ignored with a warning.
 *
 *     char[8] "HEARTHWS", u32 version, u32 number of pages that were written, u32 number of all pages, u8[16] id of the
 *     snapshot, u32 CRC-32 of all these fields and the list; zeros up to 4096
 *     list: u32 guest-physical page numbers: the first WORKING_SET_COPIES that were written, the others that were
 *     written, and those that were only read; each part in ascending order
 */
#ifndef HEARTH_VMM_SNAPSHOT_WORKING_SET_H
#define HEARTH_VMM_SNAPSHOT_WORKING_SET_H

#include "common/error.h"
#include "vmm/guest_memory.h"
#include "vmm/snapshot/memory_file.h"

#include <pthread.h>

enum {
	WORKING_SET_VERSION = 1,
	WORKING_SET_PAGES_MAX = 64 << 10,
	/*
	 * Pages that are copied for a clone before it is used. More makes the first execution faster and each waiting
	 * clone larger: 1.69 MiB keeps one below 2 MiB, the VMM's own memory included.
	 */
	WORKING_SET_COPIES = 432,
	/* Pages that are copied when the clone is handed over, in one go: a fault of the guest's costs many times more. */
	WORKING_SET_LATE_COPIES = 400,
};

/* ---- using one --------------------------------------------------------------------------------------------------- */

struct working_set {
	void *mapping; /* the file, read-only; NULL: there is none */
	size_t size;
	const uint32_t *pages;
	uint32_t n_written, n_pages;
};

/*
 * Maps the file at `path`, which must be of a snapshot of the `chain` and name pages of `memory` below 4 GiB.
 * Negative with *err set if it is not so. working_set_close() in any case.
 */
int working_set_open(struct working_set *set, const char *path, const struct memory_chain *chain,
		     const struct guest_memory *memory, struct error *err);
void working_set_close(struct working_set *set);

/* The list begins with so many pages that are copied before a clone waits, and so many that are when it is handed over. */
uint32_t working_set_n_early(const struct working_set *set);
uint32_t working_set_n_late(const struct working_set *set);

/* Copies the pages that will be written from number `first` on, up to number `end`, in the order of the list. */
void working_set_copy(const struct working_set *set, const struct guest_memory *memory, uint32_t first, uint32_t end);

/* ---- recording one ----------------------------------------------------------------------------------------------- */

struct working_set_recorder {
	const struct guest_memory *memory;
	struct guest_memory source; /* the same memory once more, as the files have it */
	int fault_fd;               /* userfaultfd; -1: nothing is recorded */
	int stop_fd;                /* eventfd: ends the thread */
	pthread_t thread;
	uint32_t *pages; /* numbers in the order of their first touch */
	uint32_t n_pages;
	bool *is_written; /* by page number, of the lower RAM */
};

/*
 * Instead of memory_file_map(): each page of `memory` comes from the files when it is touched first, and that is noted.
 * Needs the right to handle faults of the kernel (userfaultfd; root has it). working_set_recorder_close() in any case.
 */
int working_set_record(struct working_set_recorder *recorder, const char *const paths[], unsigned n_paths,
		       const struct memory_chain *chain, const struct guest_memory *memory, struct error *err);

/* Writes the file, made anew, at `path`. The VM must be paused. */
int working_set_write(struct working_set_recorder *recorder, const struct memory_chain *chain, const char *path,
		      struct error *err);
void working_set_recorder_close(struct working_set_recorder *recorder);

#endif
