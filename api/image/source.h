/* Where an image comes from, and getting it from there, by skopeo. */
#ifndef HEARTH_API_IMAGE_SOURCE_H
#define HEARTH_API_IMAGE_SOURCE_H

#include "api/image/image_name.h"
#include "common/error.h"

#include <limits.h>
#include <stdbool.h>
#include <stdint.h>

struct image_source {
	char reference[PATH_MAX + 64]; /* as skopeo has it: docker://…, oci:…, docker-archive:… */
	char name[IMAGE_NAME_SIZE];    /* what the image is called there; "" if nothing says it */
	bool is_no_file;               /* its name was given alone, and no file has it */
	const char *compressed; /* the path of the archive if it is one that is compressed as a whole, else NULL */
};

/*
 * Finds out what `given` is: a reference of skopeo's with its transport; a folder with an OCI layout; an archive in a
 * file, as `docker save` makes it or of an OCI layout; else the name of an image in a registry. *source points to
 * `given`. 0, or negative with *err set.
 */
int image_source_find(const char *given, struct image_source *source, struct error *err);

/*
 * Uncompresses source->compressed to a file of at most `size_max` bytes, and has the reference mean that: skopeo 1.9
 * does not read docker-archives that are compressed by gzip. 0, or negative with *err set.
 */
int image_source_uncompress(struct image_source *source, const char *file, uint64_t size_max, struct error *err);

/*
 * Of a reference to an oci-archive: copies the files of its layout to `folder`, which is made, with at most `size_max`
 * bytes in all, and has the reference mean that. skopeo would unpack whatever is in the archive, through the symbolic
 * links that it has made before. 0, or negative with *err set.
 */
int image_source_unpack(struct image_source *source, const char *folder, uint64_t size_max, struct error *err);

struct image_fetch {
	const char *folder;  /* where it goes: manifest.json, and each blob under its digest's hexadecimal digits */
	const char *work;    /* for skopeo's own files */
	uint64_t size_max;   /* bytes of all files together */
	bool allow_insecure; /* a registry by plain HTTP, or with a certificate that nobody knows */
};

/* Gets the image as it is there, layers compressed or not. 0, or negative with *err set. */
int image_source_fetch(const struct image_source *source, const struct image_fetch *fetch, struct error *err);

#endif
