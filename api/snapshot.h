/*
 * A snapshot on disk: a folder from which a microVM can be restored.
 *
 *     state         what hearth-vmm needs besides memory
 *     memory        the memory file that was written with it
 *     base.0 …      the memory files that `memory` is a difference over, lowest first; hard links, so that a folder
 *                   stands for itself and the files stay as long as any folder has them
 *     disk.0 …      the machine's disks beside the image, if there are: links to the layers of a container's image,
 *                   which stay likewise where they are on the same file system
 *     working-set   pages to prefetch; optional
 *     machine       what the machine consists of, text
 *
 * In memory it is counted: whoever restores from it or runs over it holds it, and one that was made for a single use is
 * removed from disk when nobody does.
 */
#ifndef HEARTH_API_SNAPSHOT_H
#define HEARTH_API_SNAPSHOT_H

#include "common/error.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <uv.h>

enum {
	SNAPSHOT_LAYERS_MAX = 8, /* memory files of one snapshot, its own included */
	SNAPSHOT_PATH_MAX = 768,
	SNAPSHOT_DISK_MAX = 1024, /* bytes of snapshot_machine.disk */
	SNAPSHOT_DISKS_MAX = 7,   /* disks beside the image */
};

/* What a machine consists of, as far as machines differ. */
struct microvm_shape {
	uint32_t memory_mib;
	uint32_t n_vcpus;
	bool has_network; /* a network device, whatever it leads to */
};

struct snapshot_machine {
	struct microvm_shape shape;
	char disk[SNAPSHOT_DISK_MAX]; /* the image: file_identity() */
};

struct snapshot {
	char folder[SNAPSHOT_PATH_MAX];
	struct snapshot_machine machine;
	int64_t memory_inode; /* these two tell its memory from another one's that has got its name since */
	int64_t memory_changed_ns;
	unsigned int n_layers;
	unsigned int n_disks;
	bool has_working_set;

	unsigned int n_holders;
	bool is_temporary; /* its folder goes with the last holder */
	uv_loop_t *loop;
	struct snapshot *next; /* of those that are open */
};

/*
 * One line that tells a file from another in its place: path, inode, size and time of change. 0 or negative
 * with *err filled.
 */
int file_identity(const char *path, char *text, size_t size, struct error *err);

/*
 * Opens the snapshot in that folder; the caller holds it. NULL with *err filled if it is not there, or not whole as far
 * as names tell; what the files hold is hearth-vmm's to check.
 */
struct snapshot *snapshot_open(uv_loop_t *loop, const char *folder, struct error *err);

/* The one that is open from that folder, not held for the caller; NULL if there is none. */
struct snapshot *snapshot_find_open(const char *folder);

struct snapshot *snapshot_hold(struct snapshot *s);
void snapshot_release(struct snapshot *s); /* NULL is fine */

/* Removes the folder: now, or when the last holder lets go. */
void snapshot_remove(uv_loop_t *loop, const char *folder);

/* Gives the folder another name, whoever holds it. 0 or -errno. */
int snapshot_rename(const char *from, const char *to);

/* The path of memory file `layer`, 0 the lowest. */
void snapshot_memory_path(const struct snapshot *s, unsigned int layer, char *path, size_t size);

/* The path of disk `i` beside the image. */
void snapshot_disk_path(const struct snapshot *s, unsigned int i, char *path, size_t size);

/* Bytes on disk of its own files, those that it shares with others left out. */
uint64_t snapshot_own_bytes(const struct snapshot *s);

/* A snapshot that is being written. */
struct snapshot_writer {
	char folder[SNAPSHOT_PATH_MAX]; /* "" if there is none */
	int state_fd;
	int memory_fd;
};

/*
 * Makes a folder with a name of its own in `root`, with empty files, and the memory files of `parent` (NULL for none)
 * as its base, and its disks. 0, or negative with *err filled; -EMLINK if the chain would be too long.
 */
int snapshot_writer_open(struct snapshot_writer *w, const char *root, const struct snapshot *parent,
			 const struct snapshot_machine *machine, struct error *err);

/* Adds the file at `path`, a disk beside the image, as number `i`; those of a parent are there. 0 or -errno. */
int snapshot_writer_add_disk(const struct snapshot_writer *w, unsigned int i, const char *path);

/*
 * It is complete: gives the folder its name. Replaces nothing: -EEXIST. -EBUSY if somebody could still write its files:
 * its VMM was told to close them, and may have been taken over. The writer is done in any case.
 */
int snapshot_writer_commit(struct snapshot_writer *w, uv_loop_t *loop, const char *folder, struct error *err);

/* Removes what was written. Fine if there is nothing. */
void snapshot_writer_abort(struct snapshot_writer *w, uv_loop_t *loop);

/* True for the names that unfinished folders have. */
bool snapshot_is_unfinished(const char *name);

#endif
