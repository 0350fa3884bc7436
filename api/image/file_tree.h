/*
 * The files of one or more layers of a container image, in memory: names, attributes, and where their contents lie in
 * the image file that is being made. Layers are added from the lowest up, by number; a layer's whiteouts take away
 * what lower ones have brought, and stay in the tree as whiteouts of overlayfs, because there may be layers below the
 * tree.
 *
 * Paths are relative, without "." and "..", with one slash between two names; "" is the root.
 */
#ifndef HEARTH_API_IMAGE_FILE_TREE_H
#define HEARTH_API_IMAGE_FILE_TREE_H

#include "common/error.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>

/* What several names (hard links) may stand for. All bytes that it points to are its own. */
struct file_inode {
	uint32_t mode; /* type and permissions */
	uint32_t uid;
	uint32_t gid;
	uint32_t major; /* of a device */
	uint32_t minor;
	uint32_t n_links; /* how many names it has */
	int64_t mtime_s;
	uint32_t mtime_ns;
	uint32_t xattrs_size;
	uint8_t *xattrs; /* as EROFS has them */
	uint64_t size;
	uint64_t data_at;   /* where the contents begin in the image file, in bytes, … */
	uint64_t data_size; /* … and how many of them lie there; the rest is the tail */
	uint8_t *tail;      /* the last bytes, which are kept beside the inode; a symbolic link's target as a whole */
	uint64_t nid;       /* its number in the image, once it has one */
};

struct file_node {
	struct file_node *parent; /* NULL: the root */
	struct file_inode *inode;
	void *children;    /* of a directory: a tree of tsearch(3), ordered by name */
	size_t n_children; /* likewise */
	uint32_t layer;    /* that brought it; a directory that lower ones have too is the last one's */
	uint32_t swept;    /* the last layer that hid what lower ones have in it; 0: none has */
	bool is_opaque;    /* a directory that hides what layers below the tree have in its place */
	char name[];
};

struct file_tree {
	struct file_node *root;
	uint64_t n_implied; /* directories that were made because something is in them */
	/* Called before an inode is freed that had been in the tree, when a layer takes it away; may be NULL. */
	void (*forget)(void *context, const struct file_inode *inode);
	void *context;
};

/* The tree has a root, owned by user 0 with mode 0755. 0 or -ENOMEM. */
int file_tree_init(struct file_tree *tree);
void file_tree_fini(struct file_tree *tree);

/* An inode with one owner, the caller; NULL if there is no memory. */
struct file_inode *file_inode_create(uint32_t mode);
void file_inode_destroy(struct file_inode *inode);

/*
 * Puts an inode at a path, in the place of what is there; directories on the way are made. A directory in the place
 * of a directory keeps the children. Takes the inode, in every case. 0, or negative with *err set if something that
 * the same layer brought stands in the way.
 */
int file_tree_put(struct file_tree *tree, const char *path, uint32_t layer, struct file_inode *inode,
		  struct error *err);

/* Makes `path` another name of what the same layer has at `target`. 0, or negative with *err set. */
int file_tree_link(struct file_tree *tree, const char *path, uint32_t layer, const char *target, struct error *err);

/* Takes away what lower layers have at `path`, in the tree and below it. 0, or negative with *err set. */
int file_tree_white_out(struct file_tree *tree, const char *path, uint32_t layer, struct error *err);

/* Takes away what lower layers have in the directory `path`. 0, or negative with *err set. */
int file_tree_make_opaque(struct file_tree *tree, const char *path, uint32_t layer, struct error *err);

/*
 * A directory's children in order of their names, in an array that the caller frees; NULL if there are none or no
 * memory.
 */
struct file_node **file_node_children(const struct file_node *node);

static inline bool file_inode_is_whiteout(const struct file_inode *inode)
{
	return S_ISCHR(inode->mode) && inode->major == 0 && inode->minor == 0;
}

#endif
