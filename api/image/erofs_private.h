/* What the two files of the EROFS writer share. */
#ifndef HEARTH_API_IMAGE_EROFS_PRIVATE_H
#define HEARTH_API_IMAGE_EROFS_PRIVATE_H

#include "api/image/file_tree.h"
#include "common/bytes.h"

enum {
	EROFS_BLOCK_BITS = 12,
	EROFS_BLOCK_SIZE = 1 << EROFS_BLOCK_BITS,
	EROFS_INODE_SIZE = 64, /* an "extended" one: with times and 32-bit owners */
	EROFS_XATTR_HEADER_SIZE = 12,
	EROFS_XATTR_TRUSTED = 4, /* the index of names that begin with "trusted." */
};

static inline uint64_t round_up(uint64_t value, uint64_t unit)
{
	return (value + unit - 1) / unit * unit;
}

/* Of the inode and its extended attributes, which lie behind it. */
static inline uint64_t erofs_inode_size(const struct file_inode *inode)
{
	return EROFS_INODE_SIZE + (inode->xattrs_size ? EROFS_XATTR_HEADER_SIZE + inode->xattrs_size : 0);
}

/* Adds an extended attribute by its name's index and the rest of the name, whatever the total. 0 or -ENOMEM. */
int erofs_put_xattr(struct file_inode *inode, uint8_t index, const char *rest, const void *value, size_t size);

/* 0 or -errno. */
int erofs_write_at(int fd, const void *data, size_t size, uint64_t at);

#endif
