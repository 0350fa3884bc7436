/*
 * What an image says of itself: its manifest and its configuration (OCI image specification, or Docker's), which
 * nobody trusts.
 */
#ifndef HEARTH_API_IMAGE_DESCRIPTION_H
#define HEARTH_API_IMAGE_DESCRIPTION_H

#include "common/error.h"

#include <jansson.h>
#include <stddef.h>

enum {
	IMAGE_HEX_SIZE = 65,    /* of a SHA-256, with NUL */
	IMAGE_LAYERS_MAX = 128, /* Docker's own limit is 127 */
	IMAGE_JSON_MAX = 4 * 1024 * 1024,
};

struct image_layer {
	char blob[IMAGE_HEX_SIZE];    /* of the layer as it is stored, compressed or not */
	char diff_id[IMAGE_HEX_SIZE]; /* of its uncompressed archive */
};

struct image_description {
	char config[IMAGE_HEX_SIZE]; /* of the configuration: the image's ID */
	size_t n_layers;
	struct image_layer layers[IMAGE_LAYERS_MAX];
};

/* Reads a manifest: the configuration's digest and the layers' blobs. 0, or negative with *err set. */
int image_description_read_manifest(struct image_description *image, const char *text, size_t size, struct error *err);

/*
 * Reads the configuration that belongs to it: the layers' diffIDs. Returns what a container needs to know, in our own
 * words: architecture, createdAt, and config with entrypoint, cmd, env, user, workingDirectory, stopSignal,
 * exposedPorts and labels, of which those are left out that the image does not set. The caller's; NULL with *err set.
 */
json_t *image_description_read_config(struct image_description *image, const char *text, size_t size,
				      struct error *err);

#endif
