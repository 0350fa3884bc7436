/* The list of contents that scripts/build-rootfs puts beside a guest image: what GET metadata tells. */
#ifndef HEARTH_API_IMAGE_MANIFEST_H
#define HEARTH_API_IMAGE_MANIFEST_H

#include "api/pool_definition.h"
#include "common/error.h"

#include <jansson.h>

struct image_manifest;

/*
 * Reads the list of the image in the file `image`: the same path with .json for its .erofs. NULL with *err filled if
 * there is none (code ENOENT) or it makes no sense.
 */
struct image_manifest *image_manifest_load(const char *image, struct error *err);

/* Of a NULL too. */
void image_manifest_destroy(struct image_manifest *manifest);

/* The answer for pools of that kind: runtimes, packages and kernel. The caller's; NULL if there is no memory. */
json_t *image_manifest_json(const struct image_manifest *manifest, enum pool_container_type type);

#endif
