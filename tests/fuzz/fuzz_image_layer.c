/*
 * A layer of an image, as it comes: with whatever it holds the reader ends in order, within its budget, and what it
 * took can be written as an image. The first byte says how many layers there are: as many equal parts of what follows
 * it.
 */
#include "api/image/layer.h"
#include "tests/fuzz/fuzz.h"

#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum {
	BYTES_MAX = 1 << 20,
	ENTRIES_MAX = 200,
};

static void forget(void *context, const struct file_inode *inode)
{
	erofs_forget(context, inode);
}

/* Negative once something was refused, but for the digest, which nothing can have. */
static int read_layer(struct file_tree *tree, struct erofs_image *image, struct layer_budget *budget, uint32_t number,
		      const uint8_t *data, size_t size)
{
	int fd = memfd_create("layer", MFD_CLOEXEC);
	struct error err = { 0 };
	char path[64];
	struct layer_order order = { .path = path, .number = number, .tree = tree, .image = image, .budget = budget };

	FUZZ_CHECK(fd >= 0 && write(fd, data, size) == (ssize_t)size);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	FUZZ_CHECK(layer_read(&order, &err) < 0 && err.code && *err.text);
	FUZZ_CHECK(budget->bytes_left <= BYTES_MAX && budget->entries_left <= ENTRIES_MAX);
	close(fd);
	return strstr(err.text, "diff_ids") ? 0 : -1;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const uint8_t uuid[EROFS_UUID_SIZE];
	struct layer_budget budget = layer_budget_of(BYTES_MAX, ENTRIES_MAX);
	uint32_t n = size ? data[0] % 3 + 1 : 1;
	size_t part = size ? (size - 1) / n : 0;
	int fd = memfd_create("image", MFD_CLOEXEC), ret = 0;
	struct erofs_image image;
	struct file_tree tree;

	FUZZ_CHECK(fd >= 0 && file_tree_init(&tree) == 0);
	erofs_begin(&image, fd);
	tree.forget = forget;
	tree.context = &image;
	for (uint32_t i = 0; i < n && ret == 0; i++)
		ret = read_layer(&tree, &image, &budget, i + 1, data + 1 + i * part, part);
	if (ret == 0)
		FUZZ_CHECK(erofs_finish(&image, &tree, uuid) == 0);
	file_tree_fini(&tree);
	close(fd);
	return 0;
}
