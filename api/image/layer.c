#include "api/image/layer.h"
#include "api/image/entry_name.h"

#include <archive.h>
#include <archive_entry.h>
#include <errno.h>
#include <gnutls/gnutls.h>
#include <gnutls/crypto.h>
#include <string.h>

enum {
	READ_SIZE = 256 * 1024,
	SHOWN_SIZE = 240,
	ATTRIBUTES_TOTAL_MAX = 256 * 1024 * 1024,
};

/* A layer while it is read: libarchive uncompresses it once, and reads what comes of that as an archive. */
struct layer {
	const struct layer_order *order;
	struct archive *stream;
	struct archive *tar;
	gnutls_hash_hd_t hash;
	uint64_t n_read;
	bool is_too_long;
};

struct layer_budget layer_budget_of(uint64_t bytes_max, uint64_t entries_max)
{
	return (struct layer_budget) {
		.bytes_max = bytes_max,
		.entries_max = entries_max,
		.bytes_left = bytes_max,
		/* An entry's header and its padding; a file full of holes has less in the archive than its size is. */
		.stream_left = bytes_max + entries_max * 1024,
		.entries_left = entries_max,
		.attributes_left = ATTRIBUTES_TOTAL_MAX,
	};
}

/* ---- the uncompressed archive ------------------------------------------------------------------------------------ */

/* libarchive's archive_read_callback. */
static la_ssize_t next_block(struct archive *tar, void *context, const void **block)
{
	struct layer *l = context;
	struct layer_budget *budget = l->order->budget;
	la_int64_t offset;
	size_t size = 0;
	int ret = archive_read_data_block(l->stream, block, &size, &offset);

	if (ret == ARCHIVE_EOF)
		return 0;
	if (ret != ARCHIVE_OK) {
		archive_set_error(tar, EIO, "%s", archive_error_string(l->stream));
		return -1;
	}
	if (size > budget->stream_left) {
		l->is_too_long = true;
		archive_set_error(tar, EFBIG, "it is too long");
		return -1;
	}
	budget->stream_left -= size;
	l->n_read += size;
	gnutls_hash(l->hash, *block, size);
	if (l->order->progress)
		l->order->progress(l->order->context, l->n_read);
	return (la_ssize_t)size;
}

static int too_large(const struct layer *l, struct error *err)
{
	return error_set(err, EINVAL, "with it the image has more than %llu MiB: --max-size allows more",
			 (unsigned long long)(l->order->budget->bytes_max >> 20));
}

/* What libarchive could not do. */
static int archive_failed(const struct layer *l, struct error *err)
{
	const char *text = archive_error_string(l->tar);

	if (l->is_too_long)
		return too_large(l, err);
	return error_set(err, EINVAL, "it is damaged: %s", text ? text : "no more is known");
}

static int open_archive(struct layer *l, struct error *err)
{
	struct archive_entry *entry;

	l->stream = archive_read_new();
	l->tar = archive_read_new();
	if (!l->stream || !l->tar || gnutls_hash_init(&l->hash, GNUTLS_DIG_SHA256) < 0)
		return error_set(err, ENOMEM, "out of memory");
	archive_read_support_filter_gzip(l->stream);
	archive_read_support_filter_zstd(l->stream);
	archive_read_support_format_raw(l->stream);
	archive_read_support_format_tar(l->tar);
	if (archive_read_open_filename(l->stream, l->order->path, READ_SIZE) != ARCHIVE_OK ||
	    archive_read_next_header(l->stream, &entry) != ARCHIVE_OK)
		return error_set(err, EINVAL, "it cannot be read: %s", archive_error_string(l->stream));
	if (archive_read_open(l->tar, l, NULL, next_block, NULL) != ARCHIVE_OK)
		return archive_failed(l, err);
	return 0;
}

/* ---- an entry ---------------------------------------------------------------------------------------------------- */

static int take_attributes(const struct layer *l, struct archive_entry *entry, struct file_inode *inode,
			   struct error *err)
{
	la_int64_t uid = archive_entry_uid(entry), gid = archive_entry_gid(entry);
	const char *name;
	const void *value;
	size_t size;

	if (uid < 0 || uid > UINT32_MAX || gid < 0 || gid > UINT32_MAX)
		return error_set(err, EINVAL, "its owner is no number of 32 bits");
	inode->uid = (uint32_t)uid;
	inode->gid = (uint32_t)gid;
	inode->mtime_s = archive_entry_mtime(entry);
	inode->mtime_ns = (uint32_t)archive_entry_mtime_nsec(entry) % 1000000000U;
	inode->major = (uint32_t)archive_entry_rdevmajor(entry) & 0xfff;
	inode->minor = (uint32_t)archive_entry_rdevminor(entry) & 0xfffff;
	archive_entry_xattr_reset(entry);
	while (archive_entry_xattr_next(entry, &name, &value, &size) == ARCHIVE_OK) {
		/* overlayfs' own: a layer could hide or redirect with them what is not its own. */
		bool is_private = strncmp(name, "trusted.overlay.", 16) == 0;
		int ret = is_private ? 0 : erofs_add_xattr(inode, name, value, size);

		if (size > l->order->budget->bytes_left)
			return too_large(l, err);
		l->order->budget->bytes_left -= size;
		if (!is_private && size > l->order->budget->attributes_left)
			return error_set(err, EINVAL, "with it the image's extended attributes have more than %d MiB",
					 ATTRIBUTES_TOTAL_MAX >> 20);
		l->order->budget->attributes_left -= is_private ? 0 : size;
		if (ret == -ENOMEM)
			return error_set(err, ENOMEM, "out of memory");
		if (ret == -E2BIG)
			return error_set(err, EINVAL, "its extended attributes are larger than %d bytes",
					 EROFS_XATTRS_SIZE_MAX);
	}
	return 0;
}

static int reserve(const struct layer *l, struct file_inode *inode, la_int64_t size, struct error *err)
{
	struct layer_budget *budget = l->order->budget;
	int ret;

	if (size < 0 || (uint64_t)size > budget->bytes_left)
		return too_large(l, err);
	budget->bytes_left -= (uint64_t)size;
	inode->size = (uint64_t)size;
	ret = erofs_reserve(l->order->image, inode);
	return ret < 0 ? error_set(err, -ret, "%s", strerror(-ret)) : 0;
}

static int take_contents(const struct layer *l, const struct file_inode *inode, struct error *err)
{
	const void *block;
	la_int64_t offset;
	size_t size;
	int ret;

	while ((ret = archive_read_data_block(l->tar, &block, &size, &offset)) == ARCHIVE_OK) {
		int written = erofs_write(l->order->image, inode, block, size, (uint64_t)offset);

		if (written < 0)
			return error_set(err, -written, "cannot write its contents: %s", strerror(-written));
	}
	return ret == ARCHIVE_EOF ? 0 : archive_failed(l, err);
}

static int take_link_target(const struct layer *l, const char *path, const char *target, struct file_inode *inode,
			    struct error *err)
{
	int ret;

	if (!target || !*target || strlen(target) > EROFS_LINK_SIZE_MAX)
		return error_set(err, EINVAL, "it is a symbolic link to nothing, or its target is too long");
	if (entry_name_leaves_root(path, target))
		return error_set(err, EINVAL, "it is a symbolic link out of the image");
	if (reserve(l, inode, (la_int64_t)strlen(target), err) < 0)
		return -err->code;
	ret = erofs_write(l->order->image, inode, target, strlen(target), 0);
	return ret < 0 ? error_set(err, -ret, "cannot write its target: %s", strerror(-ret)) : 0;
}

static int fill_inode(const struct layer *l, const char *path, struct archive_entry *entry, struct file_inode *inode,
		      struct error *err)
{
	if (take_attributes(l, entry, inode, err) < 0)
		return -err->code;
	switch (archive_entry_filetype(entry)) {
	case AE_IFREG:
		return reserve(l, inode, archive_entry_size(entry), err) < 0 ? -err->code
									     : take_contents(l, inode, err);
	case AE_IFLNK:
		return take_link_target(l, path, archive_entry_symlink(entry), inode, err);
	case AE_IFDIR:
	case AE_IFCHR:
	case AE_IFBLK:
	case AE_IFIFO:
		return 0;
	default:
		return error_set(err, EINVAL, "it is of a type that no image has");
	}
}

static int take_file(const struct layer *l, const char *path, struct archive_entry *entry, struct error *err)
{
	const struct layer_order *order = l->order;
	const char *link = archive_entry_hardlink(entry);
	struct file_inode *inode;
	char target[PATH_MAX];

	if (link)
		return entry_name_parse_target(link, target, err) < 0
			       ? -err->code
			       : file_tree_link(order->tree, path, order->number, target, err);
	inode = file_inode_create((uint32_t)(archive_entry_filetype(entry) | archive_entry_perm(entry)));
	if (!inode)
		return error_set(err, ENOMEM, "out of memory");
	if (fill_inode(l, path, entry, inode, err) < 0) {
		file_inode_destroy(inode);
		return -err->code;
	}
	/* A device 0:0 is overlayfs' own whiteout. */
	if (file_inode_is_whiteout(inode)) {
		file_inode_destroy(inode);
		return *path ? file_tree_white_out(order->tree, path, order->number, err)
			     : error_set(err, EINVAL, "it is a whiteout of everything");
	}
	return file_tree_put(order->tree, path, order->number, inode, err);
}

static int too_many(const struct layer *l, struct error *err)
{
	return error_set(err, EINVAL, "with it the image has more than %llu entries: --max-entries allows more",
			 (unsigned long long)l->order->budget->entries_max);
}

static int put_entry(const struct layer *l, const char *name, struct archive_entry *entry, struct error *err)
{
	const struct layer_order *order = l->order;
	char path[PATH_MAX];

	switch (entry_name_parse(name, path, err)) {
	case ENTRY_FILE:
		return take_file(l, path, entry, err);
	case ENTRY_WHITEOUT:
		return file_tree_white_out(order->tree, path, order->number, err);
	case ENTRY_OPAQUE:
		return file_tree_make_opaque(order->tree, path, order->number, err);
	case ENTRY_NOTHING:
		return 0;
	default:
		return -err->code;
	}
}

/* Folders that an entry implies count as well: a short archive may imply two thousand with each. */
static int take_entry(const struct layer *l, const char *name, struct archive_entry *entry, struct error *err)
{
	struct layer_budget *budget = l->order->budget;
	uint64_t before = l->order->tree->n_implied, taken;

	if (budget->entries_left == 0)
		return too_many(l, err);
	if (put_entry(l, name, entry, err) < 0)
		return -err->code;
	taken = 1 + l->order->tree->n_implied - before;
	if (taken > budget->entries_left)
		return too_many(l, err);
	budget->entries_left -= taken;
	return 0;
}

/* ---- the layer --------------------------------------------------------------------------------------------------- */

/*
 * libarchive warns where a name in UTF-8 has no counterpart in the process's locale, which is C, and keeps its bytes:
 * what we want. In a locale with UTF-8 it would change them, to composed characters.
 */
static bool is_about_locale(const struct layer *l)
{
	const char *text = archive_error_string(l->tar);

	return text && strstr(text, "can't be converted");
}

/* Puts the entry's name before what was found about it; what the disk did is no fault of the entry. */
static int about(const char *name, struct error *err)
{
	char shown[SHOWN_SIZE];

	entry_name_show(shown, sizeof(shown), name);
	return error_wrap(err, err->code == EINVAL ? "the entry %s is refused" : "the entry %s", shown);
}

static int read_entries(const struct layer *l, struct error *err)
{
	struct archive_entry *entry;
	char last[SHOWN_SIZE] = "";
	int ret;

	while ((ret = archive_read_next_header(l->tar, &entry)) == ARCHIVE_OK || ret == ARCHIVE_WARN) {
		const char *name = archive_entry_pathname(entry);

		if (!name || (ret == ARCHIVE_WARN && !is_about_locale(l))) {
			archive_failed(l, err);
			return about(name ? name : "", err);
		}
		if (take_entry(l, name, entry, err) < 0)
			return about(name, err);
		entry_name_show(last, sizeof(last), name);
	}
	if (ret == ARCHIVE_EOF)
		return 0;
	archive_failed(l, err);
	return *last ? error_wrap(err, "after the entry %s", last) : -err->code;
}

/* What follows the archive's end belongs to what its digest is of. */
static int check_digest(struct layer *l, struct error *err)
{
	uint8_t digest[LAYER_DIGEST_SIZE];
	const void *block;
	la_ssize_t n;

	while ((n = next_block(l->tar, l, &block)) > 0)
		;
	if (n < 0)
		return archive_failed(l, err);
	gnutls_hash_output(l->hash, digest);
	if (memcmp(digest, l->order->digest, sizeof(digest)) != 0)
		return error_set(err, EINVAL, "its contents are not what the image's configuration says (diff_ids)");
	return 0;
}

int layer_read(const struct layer_order *order, struct error *err)
{
	struct layer l = { .order = order };
	int ret = open_archive(&l, err);

	if (ret == 0)
		ret = read_entries(&l, err);
	if (ret == 0)
		ret = check_digest(&l, err);
	if (ret < 0)
		error_wrap(err, "layer %u", order->number);
	archive_read_free(l.tar);
	archive_read_free(l.stream);
	if (l.hash)
		gnutls_hash_deinit(l.hash, NULL);
	return ret;
}
