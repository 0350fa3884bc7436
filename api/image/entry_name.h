/* Names of an archive's entries: what they may be, and what they mean in a layer. */
#ifndef HEARTH_API_IMAGE_ENTRY_NAME_H
#define HEARTH_API_IMAGE_ENTRY_NAME_H

#include "common/error.h"

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>

enum entry_meaning {
	ENTRY_FILE,     /* of whatever type */
	ENTRY_WHITEOUT, /* `path` is what it takes away */
	ENTRY_OPAQUE,   /* `path` is the directory whose contents it takes away */
	ENTRY_NOTHING,  /* what a storage driver kept for itself */
};

/*
 * The path that `name` means in a tree of files (file_tree.h). Absolute ones, those with "..", and those that no file
 * system could hold are refused. Returns the meaning, or negative with *err set.
 */
int entry_name_parse(const char *name, char path[PATH_MAX], struct error *err);

/* Likewise of a hard link's target. 0, or negative with *err set. */
int entry_name_parse_target(const char *target, char path[PATH_MAX], struct error *err);

/*
 * Whether the target of a symbolic link at `path` leads above the root. An absolute one does not: the root is where
 * it starts.
 */
bool entry_name_leaves_root(const char *path, const char *target);

/* `name` for people: bytes that are no printable ASCII as \xNN, cut to fit. Returns out. */
const char *entry_name_show(char *out, size_t size, const char *name);

#endif
