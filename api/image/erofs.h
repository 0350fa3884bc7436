/*
 * Writes an image of the Enhanced Read-Only File System (Linux' fs/erofs/erofs_fs.h): uncompressed, in blocks of 4
 * KiB, first the contents of files as they come, then the metadata. The same files in the same order make the same
 * image.
 */
#ifndef HEARTH_API_IMAGE_EROFS_H
#define HEARTH_API_IMAGE_EROFS_H

#include "api/image/file_tree.h"

#include <stdint.h>

enum {
	EROFS_UUID_SIZE = 16,
	EROFS_XATTRS_SIZE_MAX = 64 * 1024, /* of all of a file's */
	EROFS_LINK_SIZE_MAX = 4095,
};

struct erofs_image {
	int fd;              /* the caller's: an empty file, open for writing */
	uint64_t end;        /* of what was written, in bytes */
	uint64_t tails_left; /* memory for the last bytes of files */
};

void erofs_begin(struct erofs_image *image, int fd);

/*
 * Adds an extended attribute to an inode that has no contents yet. 0; -ENOTSUP if EROFS has nothing for names of its
 * kind; -E2BIG if it is too large, -ENOMEM.
 */
int erofs_add_xattr(struct file_inode *inode, const char *name, const void *value, size_t size);

/*
 * Makes room for the contents of a regular file (inode->size) or a symbolic link, which are zeros until they are
 * written. 0, -ENOMEM or -EFBIG.
 */
int erofs_reserve(struct erofs_image *image, struct file_inode *inode);

/* Writes a part of the contents; what lies beyond the size is not written. 0 or -errno. */
int erofs_write(const struct erofs_image *image, const struct file_inode *inode, const void *data, size_t size,
		uint64_t offset);

/* Gives the disk back what a file takes that is not in the tree any more. */
void erofs_forget(const struct erofs_image *image, const struct file_inode *inode);

/* Writes the metadata. The tree's inodes get their numbers. 0 or -errno. */
int erofs_finish(struct erofs_image *image, struct file_tree *tree, const uint8_t uuid[EROFS_UUID_SIZE]);

#endif
