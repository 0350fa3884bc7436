/*
 * Imports a container image: gets it, checks it, and makes of its layers read-only file systems for a guest to stack.
 *
 * A guest has few disks, so an image is a stack of at most IMAGE_STACK_MAX files: each layer is one, by its diffID,
 * as long as that suffices; in larger images the last one is made of all layers that are left, by the SHA-256 of
 * their diffIDs. So images that were made from the same others share files.
 */
#ifndef HEARTH_API_IMAGE_IMPORT_H
#define HEARTH_API_IMAGE_IMPORT_H

#include "api/image/store.h"
#include "common/error.h"

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

enum {
	IMAGE_STACK_MAX = 5,
};

struct image_order {
	const char *source; /* see image_source_find() */
	const char *name;   /* NULL: as its source calls it */
	uint64_t bytes_max; /* what may be in its layers, uncompressed, … */
	uint64_t entries_max;
	bool allow_insecure; /* see source.h */
	/* Told what is done, as one line; again and again, if it goes on (`is_done` is false until its end). */
	void (*progress)(void *context, const char *line, bool is_done);
	void *context;
};

/*
 * Imports it into an open store. Returns what is known of the image, which is the caller's; NULL with *err set
 * (EINVAL: the image cannot be used, or is hostile). The store is then as it was before, but for layers that were
 * complete.
 */
json_t *image_import(const struct image_store *store, const struct image_order *order, struct error *err);

#endif
