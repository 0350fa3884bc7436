/*
 * A snapshot on disk: a folder from which a microVM can be restored.
 *
 *     state         what hearth-vmm needs besides memory
 *     memory        the memory file that was written with it
 *     base.0 …      the memory files that `memory` is a difference over, lowest first; hard links, so that a folder
 *                   stands for itself and the files stay as long as any folder has them
 *     working-set   pages to prefetch; optional
 *     shape         the machine: text, `key=value` a line
 *
 * In memory it is counted: whoever restores from it or runs over it holds it, and one that was made for a single use is
 * removed from disk when nobody does.
 */
#ifndef HEARTH_API_SNAPSHOT_H
#define HEARTH_API_SNAPSHOT_H

#include "common/error.h"

#include <limits.h>
#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

enum {
	SNAPSHOT_LAYERS_MAX = 8, /* memory files of one snapshot, its own included */
	SNAPSHOT_PATH_MAX = 1024,
};

/* What a machine consists of, as far as pools differ in it. */
struct microvm_shape {
	uint32_t memory_mib;
	uint32_t n_vcpus;
};

struct snapshot {
	char directory[SNAPSHOT_PATH_MAX];
	struct microvm_shape shape;
	unsigned int n_layers;
	bool has_working_set;

	unsigned int n_holders;
	bool is_temporary; /* its folder goes with the last holder */
	uv_loop_t *loop;
};

/*
 * Opens the snapshot in that folder; the caller holds it. NULL with *err filled if it is not there, or not whole as far
 * as names and numbers tell; what the files hold is hearth-vmm's to check.
 */
struct snapshot *snapshot_open(uv_loop_t *loop, const char *directory, struct error *err);

struct snapshot *snapshot_hold(struct snapshot *s);
void snapshot_release(struct snapshot *s); /* NULL is fine */

/* The path of memory file `layer`, 0 the lowest. */
void snapshot_memory_path(const struct snapshot *s, unsigned int layer, char *path, size_t size);

#endif
