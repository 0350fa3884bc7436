#include "api/image/erofs.h"
#include "api/image/erofs_private.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
	/* A tail up to this size lies beside its inode instead of filling a block of its own. */
	TAIL_MAX = 2048,
	TAILS_TOTAL_MAX = 256 * 1024 * 1024,
};

void erofs_begin(struct erofs_image *image, int fd)
{
	*image = (struct erofs_image) { .fd = fd, .end = EROFS_BLOCK_SIZE, .tails_left = TAILS_TOTAL_MAX };
}

/* ---- extended attributes ----------------------------------------------------------------------------------------- */

static const struct {
	const char *prefix;
	uint8_t index;
	bool is_whole; /* it is the whole name */
} name_kinds[] = {
	{ "user.", 1, false },
	{ "system.posix_acl_access", 2, true },
	{ "system.posix_acl_default", 3, true },
	{ "trusted.", EROFS_XATTR_TRUSTED, false },
	{ "security.", 6, false },
};

/* The index of a name's kind, and the rest of the name; 0 if there is none for it. */
static uint8_t find_kind(const char *name, const char **rest)
{
	for (size_t i = 0; i < sizeof(name_kinds) / sizeof(name_kinds[0]); i++) {
		size_t length = strlen(name_kinds[i].prefix);

		*rest = name + length;
		if (strncmp(name, name_kinds[i].prefix, length) == 0 && !**rest == name_kinds[i].is_whole)
			return name_kinds[i].index;
	}
	return 0;
}

int erofs_put_xattr(struct file_inode *inode, uint8_t index, const char *rest, const void *value, size_t size)
{
	size_t length = strlen(rest), taken = round_up(4 + length + size, 4), from = inode->xattrs_size;
	uint8_t *grown = realloc(inode->xattrs, from + taken);
	struct bytes b;

	if (!grown)
		return -ENOMEM;
	memset(grown + from, 0, taken);
	inode->xattrs = grown;
	inode->xattrs_size = (uint32_t)(from + taken);
	b = bytes_over(grown + from, taken);
	bytes_put_u8(&b, (uint8_t)length);
	bytes_put_u8(&b, index);
	bytes_put_u16(&b, (uint16_t)size);
	bytes_put(&b, rest, length);
	bytes_put(&b, value, size);
	return 0;
}

int erofs_add_xattr(struct file_inode *inode, const char *name, const void *value, size_t size)
{
	const char *rest;
	uint8_t index = find_kind(name, &rest);

	if (!index)
		return -ENOTSUP;
	if (strlen(rest) > UINT8_MAX || size > UINT16_MAX ||
	    inode->xattrs_size + strlen(rest) + size > EROFS_XATTRS_SIZE_MAX)
		return -E2BIG;
	return erofs_put_xattr(inode, index, rest, value, size);
}

/* ---- contents ---------------------------------------------------------------------------------------------------- */

int erofs_reserve(struct erofs_image *image, struct file_inode *inode)
{
	uint64_t tail = inode->size % EROFS_BLOCK_SIZE;
	bool is_inline =
		tail && erofs_inode_size(inode) + tail <= EROFS_BLOCK_SIZE &&
		(S_ISDIR(inode->mode) || ((tail <= TAIL_MAX || S_ISLNK(inode->mode)) && tail <= image->tails_left));
	uint64_t most = (uint64_t)UINT32_MAX * EROFS_BLOCK_SIZE / 2;

	if (inode->size > most || image->end > most)
		return -EFBIG;
	if (is_inline && !(inode->tail = calloc(1, tail)))
		return -ENOMEM;
	if (is_inline && !S_ISDIR(inode->mode))
		image->tails_left -= tail;
	inode->data_at = image->end;
	inode->data_size = is_inline ? inode->size - tail : inode->size;
	image->end += round_up(inode->data_size, EROFS_BLOCK_SIZE);
	return 0;
}

int erofs_write_at(int fd, const void *data, size_t size, uint64_t at)
{
	while (size > 0) {
		ssize_t n = pwrite(fd, data, size, (off_t)at);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		data = (const uint8_t *)data + n;
		size -= (size_t)n;
		at += (uint64_t)n;
	}
	return 0;
}

int erofs_write(const struct erofs_image *image, const struct file_inode *inode, const void *data, size_t size,
		uint64_t offset)
{
	size_t in_blocks;

	if (offset >= inode->size)
		return 0;
	if (size > inode->size - offset)
		size = (size_t)(inode->size - offset);
	in_blocks = offset >= inode->data_size         ? 0
		    : size > inode->data_size - offset ? (size_t)(inode->data_size - offset)
						       : size;
	if (in_blocks < size)
		memcpy(inode->tail + (offset + in_blocks - inode->data_size), (const uint8_t *)data + in_blocks,
		       size - in_blocks);
	return erofs_write_at(image->fd, data, in_blocks, inode->data_at + offset);
}

void erofs_forget(const struct erofs_image *image, const struct file_inode *inode)
{
	/* Where the file system cannot do that, the bytes stay: no more than a loss of room. */
	if (inode->data_size)
		(void)!fallocate(image->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, (off_t)inode->data_at,
				 (off_t)round_up(inode->data_size, EROFS_BLOCK_SIZE));
}
