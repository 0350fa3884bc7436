#include "api/image/file_tree.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int n_forgotten;

static void count_forgotten(void *context, const struct file_inode *inode)
{
	(void)context;
	n_forgotten += S_ISREG(inode->mode);
}

static int set_up(void **state)
{
	static struct file_tree tree;

	n_forgotten = 0;
	assert_int_equal(file_tree_init(&tree), 0);
	tree.forget = count_forgotten;
	*state = &tree;
	return 0;
}

static int tear_down(void **state)
{
	file_tree_fini(*state);
	return 0;
}

static int put(struct file_tree *tree, const char *path, uint32_t layer, uint32_t mode)
{
	struct error err = { 0 };

	return file_tree_put(tree, path, layer, file_inode_create(mode), &err);
}

/* "name" a file, "name/" a directory, "name//" an opaque one, "-name" a whiteout; those in it follow in parentheses. */
static void describe(const struct file_node *node, char *text)
{
	struct file_node **children = file_node_children(node);

	text += strlen(text);
	if (file_inode_is_whiteout(node->inode))
		*text++ = '-';
	text += sprintf(text, "%s%s", node->name, S_ISDIR(node->inode->mode) ? node->is_opaque ? "//" : "/" : "");
	for (size_t i = 0; i < node->n_children; i++) {
		text += sprintf(text, i ? " " : "(");
		describe(children[i], text);
		text += strlen(text);
	}
	if (node->n_children)
		sprintf(text, ")");
	free(children);
}

static void assert_tree(const struct file_tree *tree, const char *expected)
{
	char text[1024] = "";

	describe(tree->root, text);
	assert_string_equal(text, expected);
}

static void layers_lie_over_each_other(void **state)
{
	struct file_tree *tree = *state;
	struct error err = { 0 };

	assert_int_equal(put(tree, "d/a", 1, S_IFREG), 0);
	assert_int_equal(put(tree, "d/b", 1, S_IFREG), 0);
	assert_int_equal(put(tree, "f", 1, S_IFREG), 0);
	assert_tree(tree, "/(d/(a b) f)");
	assert_int_equal(file_tree_white_out(tree, "d/a", 2, &err), 0);
	assert_int_equal(put(tree, "f/in", 2, S_IFREG), 0);
	assert_tree(tree, "/(d/(-a b) f//(in))");
	assert_int_equal(file_tree_white_out(tree, "d", 3, &err), 0);
	assert_tree(tree, "/(-d f//(in))");
	assert_int_equal(put(tree, "d/c", 4, S_IFREG), 0);
	assert_int_equal(put(tree, "f", 4, S_IFREG), 0);
	assert_tree(tree, "/(d//(c) f)");
	assert_int_equal(n_forgotten, 4); /* a, f, b, f/in */
}

static void whiteouts_do_not_touch_their_own_layer(void **state)
{
	struct file_tree *tree = *state;
	struct error err = { 0 };

	assert_int_equal(put(tree, "d/old", 1, S_IFREG), 0);
	assert_int_equal(put(tree, "d/deep/old", 1, S_IFREG), 0);
	assert_int_equal(put(tree, "f", 1, S_IFREG), 0);
	assert_int_equal(put(tree, "d/deep/new", 2, S_IFREG), 0);
	assert_int_equal(put(tree, "f", 2, S_IFREG), 0);
	assert_int_equal(file_tree_white_out(tree, "f", 2, &err), 0);
	assert_int_equal(file_tree_make_opaque(tree, "d", 2, &err), 0);
	assert_tree(tree, "/(d//(deep/(new)) f)");
	assert_int_equal(file_tree_white_out(tree, "d", 2, &err), 0);
	assert_tree(tree, "/(d//(deep/(new)) f)");
	assert_int_equal(file_tree_make_opaque(tree, "", 3, &err), 0);
	assert_tree(tree, "//");
}

static void links_share_an_inode(void **state)
{
	struct file_tree *tree = *state;
	struct error err = { 0 };

	assert_int_equal(put(tree, "a", 1, S_IFREG), 0);
	assert_int_equal(file_tree_link(tree, "d/b", 1, "a", &err), 0);
	assert_int_equal(file_tree_link(tree, "a", 1, "d/b", &err), 0);
	assert_int_equal(file_tree_link(tree, "a", 1, "a", &err), 0);
	assert_int_equal(file_tree_white_out(tree, "a", 2, &err), 0);
	assert_int_equal(n_forgotten, 0);
	assert_int_equal(file_tree_white_out(tree, "d", 2, &err), 0);
	assert_int_equal(n_forgotten, 1);
	assert_int_equal(file_tree_link(tree, "c", 2, "a", &err), -EINVAL);
	assert_int_equal(put(tree, "new", 2, S_IFREG), 0);
	assert_int_equal(file_tree_link(tree, "c", 3, "new", &err), -EINVAL); /* a lower layer's */
	assert_int_equal(file_tree_link(tree, "c", 2, "", &err), -EINVAL);
	assert_int_equal(file_tree_link(tree, "new/c", 2, "new", &err), -EINVAL);
	assert_tree(tree, "/(-a -d new)");
}

static void a_layer_cannot_go_through_its_own_links(void **state)
{
	struct file_tree *tree = *state;

	assert_int_equal(put(tree, "l", 1, S_IFLNK), 0);
	assert_int_equal(put(tree, "l/x", 1, S_IFREG), -EINVAL);
	assert_int_equal(put(tree, "l/x/y", 1, S_IFREG), -EINVAL);
	assert_int_equal(put(tree, "l", 1, S_IFDIR), 0);
	assert_int_equal(put(tree, "l/x", 1, S_IFREG), 0);
	assert_int_equal(put(tree, "l", 1, S_IFLNK), -EINVAL);
	assert_int_equal(put(tree, "", 1, S_IFLNK), -EINVAL);
	assert_int_equal(put(tree, "", 1, S_IFDIR), 0);
	assert_int_equal(put(tree, "l", 2, S_IFLNK), 0);
	assert_tree(tree, "/(l)");
}

static void many_children_are_sorted(void **state)
{
	struct file_tree *tree = *state;
	struct file_node **children;
	char path[32];

	for (unsigned int i = 0; i < 5000; i++) {
		snprintf(path, sizeof(path), "d/%u", i * 2654435761U);
		assert_int_equal(put(tree, path, 1, S_IFREG), 0);
	}
	children = file_node_children(tree->root);
	assert_int_equal(children[0]->n_children, 5000);
	free(children);
	assert_int_equal(put(tree, "d", 2, S_IFREG), 0);
	assert_int_equal(n_forgotten, 5000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(layers_lie_over_each_other, set_up, tear_down),
		cmocka_unit_test_setup_teardown(whiteouts_do_not_touch_their_own_layer, set_up, tear_down),
		cmocka_unit_test_setup_teardown(links_share_an_inode, set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_layer_cannot_go_through_its_own_links, set_up, tear_down),
		cmocka_unit_test_setup_teardown(many_children_are_sorted, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
