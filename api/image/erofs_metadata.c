#include "api/image/erofs.h"
#include "api/image/erofs_private.h"
#include "common/cleanup.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum {
	MAGIC = 0xe0f5e1e2,
	SUPERBLOCK_AT = 1024,
	SUPERBLOCK_SIZE = 128,
	FEATURE_MTIME = 2, /* an inode's time is the last change of its contents */

	FORMAT_EXTENDED = 1,
	LAYOUT_PLAIN = 0,
	LAYOUT_INLINE = 2,

	DIRENT_SIZE = 12,
	SLOT_SIZE = 32,      /* an inode's number counts these from the metadata's beginning */
	FIRST_INODE_AT = 64, /* since none may be number 0 */
	OUTPUT_SIZE = 1024 * 1024,
};

struct item {
	struct file_inode *inode;
	const struct file_node *directory; /* or NULL */
	uint32_t n_links;
};

struct writer {
	struct erofs_image *image;
	struct item *items; /* all inodes, each directory before what is in it */
	size_t n_items;
	size_t n_items_max;
	uint64_t metadata_at; /* in the image */
	uint64_t metadata_size;
	uint8_t *output; /* what goes to `output_at` of the image */
	size_t output_size;
	uint64_t output_at;
};

/* ---- directories ------------------------------------------------------------------------------------------------- */

struct entry {
	const char *name;
	size_t length;
	const struct file_inode *inode;
};

struct listing {
	struct entry *entries;
	size_t n;
};

static int compare_entries(const void *a, const void *b)
{
	return strcmp(((const struct entry *)a)->name, ((const struct entry *)b)->name);
}

/* What is in a directory, with "." and "..", by name; entries are the caller's. 0 or -ENOMEM. */
static int list(const struct file_node *directory, struct listing *listing)
{
	const struct file_node *parent = directory->parent ? directory->parent : directory;
	AUTO_FREE struct file_node **children = file_node_children(directory);
	size_t n = directory->n_children;

	listing->n = n + 2;
	listing->entries = calloc(listing->n, sizeof(struct entry));
	if (!listing->entries || (n && !children)) {
		free(listing->entries);
		return -ENOMEM;
	}
	for (size_t i = 0; i < n; i++)
		listing->entries[i] =
			(struct entry) { children[i]->name, strlen(children[i]->name), children[i]->inode };
	listing->entries[n] = (struct entry) { ".", 1, directory->inode };
	listing->entries[n + 1] = (struct entry) { "..", 2, parent->inode };
	qsort(listing->entries, listing->n, sizeof(struct entry), compare_entries);
	return 0;
}

/* How many of the entries fill the next block, and with how many bytes. */
static size_t fill_block(const struct entry *entries, size_t n, size_t *used)
{
	size_t i;

	*used = 0;
	for (i = 0; i < n && *used + DIRENT_SIZE + entries[i].length <= EROFS_BLOCK_SIZE; i++)
		*used += DIRENT_SIZE + entries[i].length;
	return i;
}

static uint8_t type_of(const struct file_inode *inode)
{
	switch (inode->mode & S_IFMT) {
	case S_IFREG:
		return 1;
	case S_IFDIR:
		return 2;
	case S_IFCHR:
		return 3;
	case S_IFBLK:
		return 4;
	case S_IFIFO:
		return 5;
	case S_IFSOCK:
		return 6;
	default:
		return 7; /* a symbolic link */
	}
}

static void put_block(uint8_t block[EROFS_BLOCK_SIZE], const struct entry *entries, size_t n)
{
	struct bytes b = bytes_over(block, EROFS_BLOCK_SIZE);
	size_t name_at = n * DIRENT_SIZE;

	memset(block, 0, EROFS_BLOCK_SIZE);
	for (size_t i = 0; i < n; i++) {
		bytes_put_u64(&b, entries[i].inode->nid);
		bytes_put_u16(&b, (uint16_t)name_at);
		bytes_put_u8(&b, type_of(entries[i].inode));
		bytes_put_u8(&b, 0);
		name_at += entries[i].length;
	}
	for (size_t i = 0; i < n; i++)
		bytes_put(&b, entries[i].name, entries[i].length);
}

static int reserve_directory(const struct writer *w, const struct file_node *directory)
{
	struct file_inode *inode = directory->inode;
	struct listing listing;
	int ret = list(directory, &listing);

	if (ret < 0)
		return ret;
	inode->size = 0;
	for (size_t i = 0, used; i < listing.n; inode->size += used) {
		inode->size = round_up(inode->size, EROFS_BLOCK_SIZE);
		i += fill_block(listing.entries + i, listing.n - i, &used);
	}
	free(listing.entries);
	return erofs_reserve(w->image, inode);
}

static int write_directory(const struct writer *w, const struct file_node *directory)
{
	uint8_t block[EROFS_BLOCK_SIZE];
	struct listing listing;
	int ret = list(directory, &listing);
	uint64_t at = 0;

	if (ret < 0)
		return ret;
	for (size_t i = 0, n, used; i < listing.n && ret == 0; i += n) {
		n = fill_block(listing.entries + i, listing.n - i, &used);
		put_block(block, listing.entries + i, n);
		ret = erofs_write(w->image, directory->inode, block, sizeof(block), at);
		at += EROFS_BLOCK_SIZE;
	}
	free(listing.entries);
	return ret;
}

/* ---- places ------------------------------------------------------------------------------------------------------ */

static int add_item(struct writer *w, const struct file_node *node)
{
	if (w->n_items == w->n_items_max) {
		size_t n = w->n_items_max ? w->n_items_max * 2 : 1024;
		struct item *grown = realloc(w->items, n * sizeof(struct item));

		if (!grown)
			return -ENOMEM;
		w->items = grown;
		w->n_items_max = n;
	}
	node->inode->nid = 1; /* any, until all have their place: it was seen */
	w->items[w->n_items++] = (struct item) {
		.inode = node->inode,
		.directory = S_ISDIR(node->inode->mode) ? node : NULL,
		.n_links = S_ISDIR(node->inode->mode) ? 2 : node->inode->n_links,
	};
	return 0;
}

/*
 * overlayfs hides the whiteouts of a directory when it merges it with others, or when it believes that it was copied
 * from another one ("origin").
 */
static int mark_directory(const struct file_node *directory, bool has_whiteouts)
{
	int ret = 0;

	if (directory->is_opaque)
		ret = erofs_put_xattr(directory->inode, EROFS_XATTR_TRUSTED, "overlay.opaque", "y", 1);
	if (ret == 0 && has_whiteouts)
		ret = erofs_put_xattr(directory->inode, EROFS_XATTR_TRUSTED, "overlay.origin", "", 0);
	return ret;
}

/* A path has at most 4,095 bytes, so the recursion has an end. */
static int collect(struct writer *w, const struct file_node *node) // NOLINT(misc-no-recursion)
{
	AUTO_FREE struct file_node **children = NULL;
	bool has_whiteouts = false;
	size_t own = w->n_items;
	int ret;

	if (node->inode->nid)
		return 0; /* another name of it came before */
	ret = add_item(w, node);
	if (ret < 0 || !S_ISDIR(node->inode->mode))
		return ret;
	children = file_node_children(node);
	if (node->n_children && !children)
		return -ENOMEM;
	for (size_t i = 0; i < node->n_children && ret == 0; i++) {
		w->items[own].n_links += S_ISDIR(children[i]->inode->mode);
		has_whiteouts |= file_inode_is_whiteout(children[i]->inode);
		ret = collect(w, children[i]);
	}
	return ret < 0 ? ret : mark_directory(node, has_whiteouts);
}

static uint64_t tail_size(const struct file_inode *inode)
{
	return inode->tail ? inode->size - inode->data_size : 0;
}

/* A tail must lie in one block. */
static void place(struct writer *w)
{
	uint64_t at = FIRST_INODE_AT;

	for (size_t i = 0; i < w->n_items; i++) {
		struct file_inode *inode = w->items[i].inode;
		uint64_t size = erofs_inode_size(inode) + tail_size(inode);
		uint64_t least = size <= EROFS_BLOCK_SIZE ? size : EROFS_INODE_SIZE;

		at = round_up(at, SLOT_SIZE);
		if (at % EROFS_BLOCK_SIZE + least > EROFS_BLOCK_SIZE)
			at = round_up(at, EROFS_BLOCK_SIZE);
		inode->nid = at / SLOT_SIZE;
		at += size;
	}
	w->metadata_at = w->image->end;
	w->metadata_size = round_up(at, EROFS_BLOCK_SIZE);
}

/* ---- writing ----------------------------------------------------------------------------------------------------- */

static int flush(struct writer *w)
{
	int ret = erofs_write_at(w->image->fd, w->output, w->output_size, w->output_at);

	w->output_at += w->output_size;
	w->output_size = 0;
	return ret;
}

static int put(struct writer *w, const void *data, size_t size)
{
	int ret = w->output_size + size > OUTPUT_SIZE ? flush(w) : 0;

	if (ret < 0 || !size)
		return ret;
	memcpy(w->output + w->output_size, data, size);
	w->output_size += size;
	return 0;
}

/* Zeros up to a place in the metadata. */
static int pad(struct writer *w, uint64_t at)
{
	static const uint8_t zeros[EROFS_BLOCK_SIZE];

	return put(w, zeros, (size_t)(w->metadata_at + at - w->output_at - w->output_size));
}

static uint32_t place_or_device(const struct file_inode *inode)
{
	if (S_ISCHR(inode->mode) || S_ISBLK(inode->mode))
		return (inode->minor & 0xff) | inode->major << 8 | (inode->minor & ~0xffU) << 12;
	return inode->data_size ? (uint32_t)(inode->data_at / EROFS_BLOCK_SIZE) : 0;
}

static int write_inode(struct writer *w, const struct item *item, uint32_t number)
{
	const struct file_inode *inode = item->inode;
	uint8_t bytes[EROFS_INODE_SIZE + EROFS_XATTR_HEADER_SIZE] = { 0 };
	struct bytes b = bytes_over(bytes, sizeof(bytes));
	size_t head = inode->xattrs_size ? sizeof(bytes) : EROFS_INODE_SIZE;
	int ret = pad(w, inode->nid * SLOT_SIZE);

	bytes_put_u16(&b, (uint16_t)(FORMAT_EXTENDED | (inode->tail ? LAYOUT_INLINE : LAYOUT_PLAIN) << 1));
	bytes_put_u16(&b, (uint16_t)(inode->xattrs_size ? inode->xattrs_size / 4 + 1 : 0));
	bytes_put_u16(&b, (uint16_t)inode->mode);
	bytes_put_u16(&b, 0);
	bytes_put_u64(&b, inode->size);
	bytes_put_u32(&b, place_or_device(inode));
	bytes_put_u32(&b, number);
	bytes_put_u32(&b, inode->uid);
	bytes_put_u32(&b, inode->gid);
	bytes_put_u64(&b, (uint64_t)inode->mtime_s);
	bytes_put_u32(&b, inode->mtime_ns);
	bytes_put_u32(&b, item->n_links);
	if (ret == 0)
		ret = put(w, bytes, head);
	if (ret == 0)
		ret = put(w, inode->xattrs, inode->xattrs_size);
	if (ret == 0)
		ret = put(w, inode->tail, (size_t)tail_size(inode));
	return ret;
}

static int write_superblock(const struct writer *w, uint64_t root, const uint8_t uuid[EROFS_UUID_SIZE])
{
	uint8_t bytes[SUPERBLOCK_SIZE] = { 0 };
	struct bytes b = bytes_over(bytes, sizeof(bytes));

	bytes_put_u32(&b, MAGIC);
	bytes_put_u32(&b, 0); /* no checksum */
	bytes_put_u32(&b, FEATURE_MTIME);
	bytes_put_u8(&b, EROFS_BLOCK_BITS);
	bytes_put_u8(&b, 0); /* further slots of the superblock */
	bytes_put_u16(&b, (uint16_t)root);
	bytes_put_u64(&b, w->n_items);
	bytes_put_u64(&b, 0); /* the time of building, and its nanoseconds */
	bytes_put_u32(&b, 0);
	bytes_put_u32(&b, (uint32_t)((w->metadata_at + w->metadata_size) / EROFS_BLOCK_SIZE));
	bytes_put_u32(&b, (uint32_t)(w->metadata_at / EROFS_BLOCK_SIZE));
	bytes_put_u32(&b, 0); /* no shared extended attributes */
	bytes_put(&b, uuid, EROFS_UUID_SIZE);
	/* No name, and no feature that an old kernel would not know. */
	return erofs_write_at(w->image->fd, bytes, sizeof(bytes), SUPERBLOCK_AT);
}

static int write_metadata(struct writer *w)
{
	int ret = 0;

	w->output = malloc(OUTPUT_SIZE);
	if (!w->output)
		return -ENOMEM;
	w->output_at = w->metadata_at;
	for (size_t i = 0; i < w->n_items && ret == 0; i++)
		ret = write_inode(w, &w->items[i], (uint32_t)(i + 1));
	if (ret == 0)
		ret = pad(w, w->metadata_size);
	return ret < 0 ? ret : flush(w);
}

static int finish(struct writer *w, const struct file_tree *tree, const uint8_t uuid[EROFS_UUID_SIZE])
{
	int ret = collect(w, tree->root);

	for (size_t i = 0; i < w->n_items && ret == 0; i++)
		if (w->items[i].directory)
			ret = reserve_directory(w, w->items[i].directory);
	if (ret < 0)
		return ret;
	place(w);
	for (size_t i = 0; i < w->n_items && ret == 0; i++)
		if (w->items[i].directory)
			ret = write_directory(w, w->items[i].directory);
	if (ret == 0)
		ret = write_metadata(w);
	return ret < 0 ? ret : write_superblock(w, tree->root->inode->nid, uuid);
}

int erofs_finish(struct erofs_image *image, struct file_tree *tree, const uint8_t uuid[EROFS_UUID_SIZE])
{
	struct writer w = { .image = image };
	int ret = finish(&w, tree, uuid);

	free(w.items);
	free(w.output);
	return ret;
}
