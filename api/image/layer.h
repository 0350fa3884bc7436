/* Reads a layer of a container image: a tar archive, as it is or compressed by gzip or zstd, that nobody trusts. */
#ifndef HEARTH_API_IMAGE_LAYER_H
#define HEARTH_API_IMAGE_LAYER_H

#include "api/image/erofs.h"
#include "api/image/file_tree.h"
#include "common/error.h"

#include <stdint.h>

enum {
	LAYER_DIGEST_SIZE = 32, /* of SHA-256 */
};

/* What the layers of an image may take together; counted down while they are read. */
struct layer_budget {
	uint64_t bytes_max; /* the two limits, for errors */
	uint64_t entries_max;
	uint64_t bytes_left;  /* of files' contents, and extended attributes */
	uint64_t stream_left; /* of the uncompressed archives */
	uint64_t entries_left;
	uint64_t attributes_left; /* of the extended attributes, which are all in memory */
};

struct layer_budget layer_budget_of(uint64_t bytes_max, uint64_t entries_max);

struct layer_order {
	const char *path;                  /* of the archive */
	uint8_t digest[LAYER_DIGEST_SIZE]; /* that the uncompressed archive must have (diffID) */
	uint32_t number;                   /* its place among the image's layers, from 1 */
	struct file_tree *tree;            /* where its files go, … */
	struct erofs_image *image;         /* … and their contents */
	struct layer_budget *budget;
	/* Called now and then with the bytes that were read of the uncompressed archive; may be NULL. */
	void (*progress)(void *context, uint64_t bytes);
	void *context;
};

/*
 * Adds a layer's files to the tree. 0, or negative with *err set: EINVAL names the entry that was refused; the tree
 * and the image are then good for nothing more.
 */
int layer_read(const struct layer_order *order, struct error *err);

#endif
