/*
 * The folder with imported images:
 *
 *   layers/KEY.erofs   a layer, or some together, by the SHA-256 of what it is made of (import.h)
 *   images/NAME.json   what is known of an image, and which files of layers/ it is stacked from
 *   work/XXXXXX        where an import works; locked while it does
 *   lock               shared by those who use layers, exclusive for who removes some
 *
 * Whoever goes on using a layer without the store's lock has its file locked: image_store_hold_layer().
 *
 * All of it may be used by several processes at once. What is in layers/ and images/ is whole, whenever one is killed.
 */
#ifndef HEARTH_API_IMAGE_STORE_H
#define HEARTH_API_IMAGE_STORE_H

#include "api/image/description.h"
#include "common/error.h"

#include <jansson.h>
#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct image_store {
	char folder[PATH_MAX];
	int lock;
};

/*
 * Opens the store in a folder, which is made if it is missing, and locks it; waits for others who have it
 * exclusively, or `is_exclusive` for all others. 0, or negative with *err set.
 */
int image_store_open(struct image_store *store, const char *folder, bool is_exclusive, struct error *err);
void image_store_close(struct image_store *store);

/* ---- images ------------------------------------------------------------------------------------------------------ */

/* What is known of an image; the caller's. NULL with *err set (ENOENT if there is none of that name). */
json_t *image_store_get(const struct image_store *store, const char *name, struct error *err);

/* All images by name, in an array that is the caller's; NULL with *err set. */
json_t *image_store_list(const struct image_store *store, struct error *err);

/* Forgets an image; its layers stay. 0, or negative with *err set. */
int image_store_remove(const struct image_store *store, const char *name, struct error *err);

/* ---- layers ------------------------------------------------------------------------------------------------------ */

/* The path of a layer's file, which need not be there. 0 or -ENAMETOOLONG. */
int image_store_layer_path(const struct image_store *store, const char key[IMAGE_HEX_SIZE], char path[PATH_MAX]);

/* Makes a complete file, which lies in a folder of work, a layer, whatever happens after. 0 or -errno. */
int image_store_keep_layer(const struct image_store *store, const char *file, const char key[IMAGE_HEX_SIZE]);

/*
 * Opens a layer's file and writes its path. Until the descriptor is closed, also by the end of the process, nobody prunes
 * that layer, even if no image needs it any more. A descriptor that says O_CLOEXEC, or -errno: -ENOENT if it is not there.
 */
int image_store_hold_layer(const struct image_store *store, const char key[IMAGE_HEX_SIZE], char path[PATH_MAX]);

struct image_pruned {
	uint64_t n_files;
	uint64_t n_bytes;
	uint64_t n_held; /* files that stay, though no image needs them: somebody holds them */
};

/* Removes the layers that no image needs; the store must be open exclusively. 0, or negative with *err set. */
int image_store_prune(const struct image_store *store, struct image_pruned *pruned, struct error *err);

/* ---- work -------------------------------------------------------------------------------------------------------- */

struct image_work {
	char folder[PATH_MAX];
	int lock;
};

/* Makes a folder to work in, and clears away those that were left behind. 0, or negative with *err set. */
int image_work_begin(struct image_work *work, const struct image_store *store, struct error *err);

/* Keeps what is known of the image `name` (image_name.h) instead of what was. 0, or negative with *err set. */
int image_work_keep_image(const struct image_work *work, const struct image_store *store, const char *name,
			  const json_t *image, struct error *err);

/* Removes it, with all that is in it. */
void image_work_end(struct image_work *work);

#endif
