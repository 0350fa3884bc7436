#include "api/image/file_tree.h"

#include <errno.h>
#include <limits.h>
#include <search.h>
#include <stdlib.h>
#include <string.h>

/* ---- nodes ------------------------------------------------------------------------------------------------------- */

static int compare(const void *a, const void *b)
{
	return strcmp(((const struct file_node *)a)->name, ((const struct file_node *)b)->name);
}

static struct file_node *node_create(struct file_node *parent, const char *name, size_t length)
{
	struct file_node *node = calloc(1, sizeof(*node) + length + 1);

	if (node) {
		node->parent = parent;
		memcpy(node->name, name, length);
	}
	return node;
}

static struct file_node *find_child(const struct file_node *parent, const char *name, size_t length)
{
	struct file_node *key, **found;
	_Alignas(struct file_node) char room[sizeof(*key) + NAME_MAX + 1];

	if (length > NAME_MAX)
		return NULL;
	key = (struct file_node *)room;
	memcpy(key->name, name, length);
	key->name[length] = '\0';
	found = tfind(key, &parent->children, compare);
	return found ? *found : NULL;
}

static int add_child(struct file_node *parent, struct file_node *child)
{
	if (!tsearch(child, &parent->children, compare))
		return -ENOMEM;
	parent->n_children++;
	return 0;
}

static bool is_directory(const struct file_node *node)
{
	return S_ISDIR(node->inode->mode);
}

/* ---- inodes ------------------------------------------------------------------------------------------------------ */

struct file_inode *file_inode_create(uint32_t mode)
{
	struct file_inode *inode = calloc(1, sizeof(*inode));

	if (inode) {
		inode->mode = mode;
		inode->n_links = 1;
	}
	return inode;
}

void file_inode_destroy(struct file_inode *inode)
{
	if (!inode)
		return;
	free(inode->xattrs);
	free(inode->tail);
	free(inode);
}

static void release_inode(struct file_tree *tree, struct file_inode *inode)
{
	if (!inode || --inode->n_links > 0)
		return;
	if (tree->forget)
		tree->forget(tree->context, inode);
	file_inode_destroy(inode);
}

/* ---- removing ---------------------------------------------------------------------------------------------------- */

static void destroy_children(struct file_tree *tree, struct file_node *node)
{
	while (node->children) {
		struct file_node *child = *(struct file_node **)node->children;

		tdelete(child, &node->children, compare);
		destroy_children(tree, child);
		release_inode(tree, child->inode);
		free(child);
	}
	node->n_children = 0;
}

static void destroy_node(struct file_tree *tree, struct file_node *node)
{
	if (node->parent) {
		tdelete(node, &node->parent->children, compare);
		node->parent->n_children--;
	}
	destroy_children(tree, node);
	release_inode(tree, node->inode);
	free(node);
}

int file_tree_init(struct file_tree *tree)
{
	*tree = (struct file_tree) { .root = node_create(NULL, "", 0) };
	if (tree->root)
		tree->root->inode = file_inode_create(S_IFDIR | 0755);
	if (tree->root && tree->root->inode)
		return 0;
	free(tree->root);
	tree->root = NULL;
	return -ENOMEM;
}

void file_tree_fini(struct file_tree *tree)
{
	tree->forget = NULL;
	if (tree->root)
		destroy_node(tree, tree->root);
	tree->root = NULL;
}

static void collect(const void *at, VISIT visit, void *context)
{
	struct file_node ***next = context;

	if (visit == postorder || visit == leaf)
		*(*next)++ = *(struct file_node *const *)at;
}

/* The children by name, in an array that the caller frees; NULL if there are none or no memory. */
struct file_node **file_node_children(const struct file_node *node)
{
	struct file_node **children = node->n_children ? malloc(node->n_children * sizeof(struct file_node *)) : NULL;
	struct file_node **next = children;

	if (children)
		twalk_r(node->children, collect, &next);
	return children;
}

/*
 * Removes what layers below `layer` have brought, but for directories in which there is something newer. Once for each
 * layer: there is no more of it, and looking through all that is newer again and again would take an hour.
 */
static int sweep(struct file_tree *tree, struct file_node *node, uint32_t layer)
{
	struct file_node **children;
	size_t n = node->n_children;
	int ret = 0;

	if (node->swept == layer)
		return 0;
	children = file_node_children(node);
	if (n && !children)
		return -ENOMEM;
	node->swept = layer;
	for (size_t i = 0; i < n && ret == 0; i++) {
		if (is_directory(children[i]))
			ret = sweep(tree, children[i], layer);
		if (ret == 0 && children[i]->layer < layer && !children[i]->n_children)
			destroy_node(tree, children[i]);
	}
	free(children);
	return ret;
}

/* ---- adding ------------------------------------------------------------------------------------------------------ */

static int out_of_memory(struct error *err)
{
	return error_set(err, ENOMEM, "out of memory");
}

static struct file_node *add_directory(struct file_node *parent, const char *name, size_t length, uint32_t layer)
{
	struct file_node *node = node_create(parent, name, length);

	if (node && (node->inode = file_inode_create(S_IFDIR | 0755)) && add_child(parent, node) == 0) {
		node->layer = layer;
		return node;
	}
	if (node)
		file_inode_destroy(node->inode);
	free(node);
	return NULL;
}

/* What a lower layer has in a directory's place is hidden, in layers below the tree as well. */
static int replace_by_directory(struct file_tree *tree, struct file_node *node, uint32_t layer)
{
	struct file_inode *inode = file_inode_create(S_IFDIR | 0755);

	if (!inode)
		return -ENOMEM;
	release_inode(tree, node->inode);
	node->inode = inode;
	node->layer = layer;
	node->is_opaque = true;
	return 0;
}

/* Goes down one name, which is a directory or becomes one. NULL with *err set. */
static struct file_node *descend(struct file_tree *tree, struct file_node *parent, const char *name, size_t length,
				 uint32_t layer, struct error *err)
{
	struct file_node *node = find_child(parent, name, length);

	if (!node) {
		node = add_directory(parent, name, length, layer);
		if (!node)
			out_of_memory(err);
		tree->n_implied += node != NULL;
		return node;
	}
	if (is_directory(node))
		return node;
	if (node->layer == layer && !file_inode_is_whiteout(node->inode)) {
		error_set(err, EINVAL, "it goes through %s, which is %s", node->name,
			  S_ISLNK(node->inode->mode) ? "a symbolic link" : "no directory");
		return NULL;
	}
	if (replace_by_directory(tree, node, layer) < 0) {
		out_of_memory(err);
		return NULL;
	}
	return node;
}

/* The directory of the path's last name, and that name. NULL with *err set. */
static struct file_node *walk(struct file_tree *tree, const char *path, uint32_t layer, const char **last,
			      struct error *err)
{
	struct file_node *node = tree->root;

	for (const char *slash; node && (slash = strchr(path, '/')); path = slash + 1)
		node = descend(tree, node, path, (size_t)(slash - path), layer, err);
	*last = path;
	return node;
}

/* Takes the inode. */
static int add_leaf(struct file_tree *tree, struct file_node *parent, const char *name, uint32_t layer,
		    struct file_inode *inode, struct error *err)
{
	struct file_node *node = node_create(parent, name, strlen(name));

	if (!node || add_child(parent, node) < 0) {
		free(node);
		release_inode(tree, inode);
		return out_of_memory(err);
	}
	node->inode = inode;
	node->layer = layer;
	return 0;
}

/* Takes the inode. */
static int replace(struct file_tree *tree, struct file_node *node, uint32_t layer, struct file_inode *inode,
		   struct error *err)
{
	bool was_directory = is_directory(node), becomes_directory = S_ISDIR(inode->mode);

	if (was_directory && !becomes_directory && node->layer == layer && node->parent && node->n_children) {
		release_inode(tree, inode);
		return error_set(err, EINVAL, "it would replace a directory that the same layer has filled");
	}
	if (!becomes_directory)
		destroy_children(tree, node);
	node->is_opaque = becomes_directory && (!was_directory || node->is_opaque);
	release_inode(tree, node->inode);
	node->inode = inode;
	node->layer = layer;
	return 0;
}

int file_tree_put(struct file_tree *tree, const char *path, uint32_t layer, struct file_inode *inode, struct error *err)
{
	const char *name;
	struct file_node *parent = walk(tree, path, layer, &name, err);
	struct file_node *node = parent && *name ? find_child(parent, name, strlen(name)) : parent;

	if (!parent || (!*name && !S_ISDIR(inode->mode))) {
		release_inode(tree, inode);
		return parent ? error_set(err, EINVAL, "the root must be a directory") : -err->code;
	}
	return node ? replace(tree, node, layer, inode, err) : add_leaf(tree, parent, name, layer, inode, err);
}

int file_tree_link(struct file_tree *tree, const char *path, uint32_t layer, const char *target, struct error *err)
{
	const struct file_node *node = tree->root;
	const char *name = target;
	struct file_inode *inode;

	for (size_t length; node && *name; name += length + (name[length] == '/')) {
		length = strcspn(name, "/");
		node = is_directory(node) ? find_child(node, name, length) : NULL;
	}
	if (!node || node->layer != layer || file_inode_is_whiteout(node->inode))
		return error_set(err, EINVAL, "it is a hard link to what its layer does not have");
	if (is_directory(node))
		return error_set(err, EINVAL, "it is a hard link to a directory");
	if (strcmp(path, target) == 0)
		return 0;
	inode = node->inode;
	inode->n_links++;
	return file_tree_put(tree, path, layer, inode, err);
}

/* ---- whiteouts --------------------------------------------------------------------------------------------------- */

int file_tree_white_out(struct file_tree *tree, const char *path, uint32_t layer, struct error *err)
{
	const char *name;
	struct file_node *parent = walk(tree, path, layer, &name, err);
	struct file_node *node = parent ? find_child(parent, name, strlen(name)) : NULL;
	struct file_inode *whiteout;

	if (!parent)
		return -err->code;
	if (node && is_directory(node)) {
		if (sweep(tree, node, layer) < 0)
			return out_of_memory(err);
		if (node->layer == layer || node->n_children) {
			node->is_opaque = true;
			return 0;
		}
	} else if (node && node->layer == layer) {
		return 0;
	}
	if (node)
		destroy_node(tree, node);
	whiteout = file_inode_create(S_IFCHR);
	return whiteout ? add_leaf(tree, parent, name, layer, whiteout, err) : out_of_memory(err);
}

int file_tree_make_opaque(struct file_tree *tree, const char *path, uint32_t layer, struct error *err)
{
	const char *name;
	struct file_node *node = walk(tree, path, layer, &name, err);

	if (node && *name)
		node = descend(tree, node, name, strlen(name), layer, err);
	if (!node)
		return -err->code;
	if (sweep(tree, node, layer) < 0)
		return out_of_memory(err);
	node->is_opaque = true;
	return 0;
}
