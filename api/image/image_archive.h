/* An image's archive in a file, as libarchive reads it. */
#ifndef HEARTH_API_IMAGE_IMAGE_ARCHIVE_H
#define HEARTH_API_IMAGE_IMAGE_ARCHIVE_H

#include "common/error.h"

#include <archive.h>
#include <archive_entry.h>
#include <stdbool.h>
#include <stdint.h>

/*
 * Opens it, compressed or not: a tar archive, or if `is_raw` a stream of bytes as its one entry. The caller frees it with
 * archive_read_free(). NULL with *err set.
 */
struct archive *image_archive_open(const char *path, bool is_raw, struct error *err);

/* An entry's name without "./" before it; "" if it has none. As long as the entry. */
const char *image_archive_member(struct archive_entry *entry);

/*
 * Copies the bytes of the present entry to `fd`. *total counts them, those of other entries before included, and must not
 * come to exceed `size_max`. 0, or negative with *err set.
 */
int image_archive_copy(struct archive *archive, int fd, uint64_t size_max, uint64_t *total, struct error *err);

#endif
