#include "api/image/import.h"
#include "api/image/confine.h"
#include "api/image/layer.h"
#include "api/image/source.h"
#include "api/timestamp.h"
#include "common/cleanup.h"
#include "common/hex.h"
#include "common/text.h"

#include <errno.h>
#include <fcntl.h>
#include <gnutls/crypto.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
	PROGRESS_STEP = 16 * 1024 * 1024, /* bytes between two words on how far it is */
	LINE_SIZE = 256,
};

/* Many builders make layers that have no entry: an archive of 1,024 zeros. Nothing is to be stacked. */
#define EMPTY_LAYER "5f70bf18a086007016e948b04aed3b82103a36bea41755b6cddfaf10ace3c6ef"

/* One file of the stack: layers `first` and the `count - 1` after it. */
struct part {
	char key[IMAGE_HEX_SIZE];
	size_t first;
	size_t count;
};

struct import {
	const struct image_store *store;
	const struct image_order *order;
	struct image_work work;
	struct image_source source;
	struct image_description description;
	struct layer_budget budget;
	char manifest[IMAGE_HEX_SIZE]; /* its SHA-256 */
	size_t layer;                  /* that is read, from 1 */
	uint64_t told;                 /* bytes of it at the last word about it */
	struct part parts[IMAGE_STACK_MAX];
	size_t n_parts;
};

__attribute__((format(printf, 3, 4))) static void tell(const struct import *i, bool is_done, const char *format, ...)
{
	char line[LINE_SIZE];
	va_list args;

	if (!i->order->progress)
		return;
	va_start(args, format);
	vsnprintf(line, sizeof(line), format, args);
	va_end(args);
	i->order->progress(i->order->context, line, is_done);
}

/* ---- digests ----------------------------------------------------------------------------------------------------- */

static int hash(const void *data, size_t size, char hex[IMAGE_HEX_SIZE])
{
	uint8_t digest[LAYER_DIGEST_SIZE];

	if (gnutls_hash_fast(GNUTLS_DIG_SHA256, data, size, digest) < 0)
		return -ENOMEM;
	hex_write(hex, digest, sizeof(digest));
	return 0;
}

static void read_hex(const char hex[IMAGE_HEX_SIZE], uint8_t digest[LAYER_DIGEST_SIZE])
{
	for (size_t i = 0; i < LAYER_DIGEST_SIZE; i++)
		digest[i] = (uint8_t)(hex_value(hex[2 * i]) << 4 | hex_value(hex[2 * i + 1]));
}

/* ---- what the image says of itself ------------------------------------------------------------------------------- */

/* A fetched file as a whole; the caller's. NULL with *err set. */
static char *read_file(const struct import *i, const char *name, size_t *size, struct error *err)
{
	char path[PATH_MAX + 80];
	AUTO_FD int fd = -1;
	char *text = malloc(IMAGE_JSON_MAX);
	ssize_t n = -1;

	snprintf(path, sizeof(path), "%s/source/%s", i->work.folder, name);
	fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	for (*size = 0; text && fd >= 0 && *size < IMAGE_JSON_MAX; *size += (size_t)n) {
		n = read(fd, text + *size, IMAGE_JSON_MAX - *size);
		if (n <= 0)
			break;
	}
	if (text && n == 0)
		return text;
	if (text && *size == IMAGE_JSON_MAX)
		error_set(err, EINVAL, "the image's %s is larger than %d MiB", name, IMAGE_JSON_MAX >> 20);
	else
		error_set(err, text ? errno : ENOMEM, "cannot read the image's %s: %s", name, strerror(errno));
	free(text);
	return NULL;
}

/* What is to be known of the image, without its stack; the caller's. NULL with *err set. */
static json_t *describe(struct import *i, struct error *err)
{
	size_t size;
	AUTO_FREE char *manifest = read_file(i, "manifest.json", &size, err), *config = NULL;
	char hex[IMAGE_HEX_SIZE] = "";

	if (!manifest || image_description_read_manifest(&i->description, manifest, size, err) < 0)
		return NULL;
	hash(manifest, size, i->manifest);
	config = read_file(i, i->description.config, &size, err);
	if (!config)
		return NULL;
	hash(config, size, hex);
	if (strcmp(hex, i->description.config) != 0) {
		error_set(err, EINVAL, "the image's configuration is not what its manifest says (config.digest)");
		return NULL;
	}
	return image_description_read_config(&i->description, config, size, err);
}

/* ---- the stack --------------------------------------------------------------------------------------------------- */

static int add_part(struct import *i, size_t first, size_t count)
{
	struct part *part = &i->parts[i->n_parts++];
	char text[IMAGE_LAYERS_MAX * IMAGE_HEX_SIZE + 1];
	size_t size = 0;

	part->first = first;
	part->count = count;
	if (count == 1) {
		memcpy(part->key, i->description.layers[first].diff_id, IMAGE_HEX_SIZE);
		return 0;
	}
	for (size_t n = first; n < first + count; n++)
		size += (size_t)snprintf(text + size, sizeof(text) - size, "%s\n", i->description.layers[n].diff_id);
	return hash(text, size, part->key);
}

static bool is_empty(const struct import *i, size_t layer)
{
	return strcmp(i->description.layers[layer].diff_id, EMPTY_LAYER) == 0;
}

/* Which layers become a file of their own, and which one together. 0 or -ENOMEM. */
static int plan(struct import *i)
{
	size_t n = i->description.n_layers, filled = 0, layer;
	int ret = 0;

	for (layer = 0; layer < n; layer++)
		filled += !is_empty(i, layer);
	for (layer = 0; layer < n && ret == 0; layer++) {
		if (is_empty(i, layer))
			continue;
		if (i->n_parts == IMAGE_STACK_MAX - 1 && filled > IMAGE_STACK_MAX)
			return add_part(i, layer, n - layer);
		ret = add_part(i, layer, 1);
	}
	return ret;
}

static void layer_progress(void *context, uint64_t bytes)
{
	struct import *i = context;

	if (bytes - i->told < PROGRESS_STEP)
		return;
	i->told = bytes;
	tell(i, false, "layer %zu of %zu: %llu MiB", i->layer, i->description.n_layers,
	     (unsigned long long)(bytes >> 20));
}

static int read_layer(struct import *i, size_t n, struct file_tree *tree, struct erofs_image *image, struct error *err)
{
	const struct image_layer *layer = &i->description.layers[n];
	char path[PATH_MAX + 80];
	struct layer_order order = {
		.path = path,
		.number = (uint32_t)n + 1,
		.tree = tree,
		.image = image,
		.budget = &i->budget,
		.progress = layer_progress,
		.context = i,
	};

	snprintf(path, sizeof(path), "%s/source/%s", i->work.folder, layer->blob);
	read_hex(layer->diff_id, order.digest);
	i->layer = n + 1;
	i->told = 0;
	return layer_read(&order, err);
}

static void forget(void *context, const struct file_inode *inode)
{
	erofs_forget(context, inode);
}

/* Writes the file of a part. 0, or negative with *err set. */
static int write_part(struct import *i, const struct part *part, int fd, struct error *err)
{
	uint8_t digest[LAYER_DIGEST_SIZE];
	struct erofs_image image;
	struct file_tree tree;
	int ret;

	if (file_tree_init(&tree) < 0)
		return error_set(err, ENOMEM, "out of memory");
	erofs_begin(&image, fd);
	tree.forget = forget;
	tree.context = &image;
	ret = 0;
	for (size_t n = part->first; n < part->first + part->count && ret == 0; n++)
		ret = read_layer(i, n, &tree, &image, err);
	read_hex(part->key, digest);
	if (ret == 0) {
		ret = erofs_finish(&image, &tree, digest);
		if (ret < 0)
			error_set(err, -ret, "cannot write the image: %s", strerror(-ret));
	}
	file_tree_fini(&tree);
	return ret;
}

static int make_part(struct import *i, const struct part *part, struct error *err)
{
	char path[PATH_MAX], made[PATH_MAX + 16];
	struct stat status;
	AUTO_FD int fd = -1;
	int ret;

	if (image_store_layer_path(i->store, part->key, path) < 0)
		return error_set(err, ENAMETOOLONG, "the path of the folder for images is too long");
	if (stat(path, &status) == 0) {
		tell(i, true, "layer %zu of %zu: is there already", part->first + part->count, i->description.n_layers);
		return 0;
	}
	snprintf(made, sizeof(made), "%s/layer.erofs", i->work.folder);
	fd = open(made, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	if (fd < 0)
		return error_set(err, errno, "cannot make %s: %s", made, strerror(errno));
	if (write_part(i, part, fd, err) < 0)
		return -err->code;
	ret = image_store_keep_layer(i->store, made, part->key);
	if (ret < 0 || fstat(fd, &status) < 0)
		return error_set(err, ret < 0 ? -ret : errno, "cannot keep a layer: %s",
				 strerror(ret < 0 ? -ret : errno));
	tell(i, true, "layer %zu of %zu: done, %lld MiB", part->first + part->count, i->description.n_layers,
	     (long long)(status.st_size >> 20));
	return 0;
}

/* ---- what is kept ------------------------------------------------------------------------------------------------ */

static json_t *diff_ids(const struct import *i, size_t first, size_t count)
{
	json_t *ids = json_array();

	for (size_t n = first; n < first + count; n++)
		json_array_append_new(ids, json_sprintf("sha256:%s", i->description.layers[n].diff_id));
	return ids;
}

/* The stack's files, with their sizes. */
static json_t *list_stack(const struct import *i, json_int_t *total)
{
	json_t *stack = json_array();
	struct stat status;
	char path[PATH_MAX];

	for (size_t n = 0; n < i->n_parts; n++) {
		const struct part *part = &i->parts[n];

		if (image_store_layer_path(i->store, part->key, path) < 0 || stat(path, &status) < 0)
			status.st_size = 0;
		*total += status.st_size;
		json_array_append_new(stack, json_pack("{s:o, s:I, s:o}", "file", json_sprintf("%s.erofs", part->key),
						       "sizeInBytes", (json_int_t)status.st_size, "diffIds",
						       diff_ids(i, part->first, part->count)));
	}
	return stack;
}

/* Completes what is known of the image. 0 or -ENOMEM. */
static int complete(const struct import *i, const char *name, json_t *image)
{
	char now[TIMESTAMP_SIZE];
	json_int_t total = 0;
	json_t *stack = list_stack(i, &total);
	json_t *more;

	timestamp_format(now, timestamp_now_ms());
	more = json_pack("{s:s, s:o, s:o, s:s, s:s, s:I, s:o}", "name", name, "digest",
			 json_sprintf("sha256:%s", i->manifest), "imageId",
			 json_sprintf("sha256:%s", i->description.config), "source", i->order->source, "importedAt",
			 now, "sizeInBytes", total, "stack", stack);
	if (!more || json_object_update(more, image) < 0 || json_object_clear(image) < 0 ||
	    json_object_update(image, more) < 0) {
		json_decref(more);
		return -ENOMEM;
	}
	json_decref(more);
	return 0;
}

/* ---- the import -------------------------------------------------------------------------------------------------- */

static int fetch(struct import *i, struct error *err)
{
	char folder[PATH_MAX + 16], archive[PATH_MAX + 16];
	const struct image_fetch fetch = {
		.folder = folder,
		.work = i->work.folder,
		.size_max = i->budget.stream_left,
		.allow_insecure = i->order->allow_insecure,
	};
	int ret = 0;

	snprintf(folder, sizeof(folder), "%s/source", i->work.folder);
	if (mkdir(folder, 0700) < 0)
		return error_set(err, errno, "cannot make %s: %s", folder, strerror(errno));
	snprintf(archive, sizeof(archive), "%s/archive", i->work.folder);
	tell(i, true, "getting %s", i->source.reference);
	if (text_begins_with(i->source.reference, "oci-archive:"))
		ret = image_source_unpack(&i->source, archive, fetch.size_max, err);
	else if (i->source.compressed)
		ret = image_source_uncompress(&i->source, archive, fetch.size_max, err);
	return ret < 0 ? ret : image_source_fetch(&i->source, &fetch, err);
}

static int find_name(const struct import *i, char name[IMAGE_NAME_SIZE], struct error *err)
{
	if (i->order->name)
		return image_name_normalize(i->order->name, name, err);
	memcpy(name, i->source.name, IMAGE_NAME_SIZE);
	return *name ? 0
		     : error_set(err, EINVAL, "nothing says what the image is called: give its name after its source");
}

static json_t *import(struct import *i, const char *name, struct error *err)
{
	/* From what skopeo got on all that is read is the image's own; nothing else needs to be opened any more. */
	bool is_there = fetch(i, err) == 0 && image_confine(i->store->folder, err) == 0;
	json_t *image = is_there ? describe(i, err) : NULL;
	int ret = image ? plan(i) : -err->code;

	if (image && ret < 0)
		error_set(err, ENOMEM, "out of memory");
	for (size_t n = 0; n < i->n_parts && ret == 0; n++)
		ret = make_part(i, &i->parts[n], err);
	if (ret == 0 && (ret = complete(i, name, image)) < 0)
		error_set(err, ENOMEM, "out of memory");
	if (ret == 0)
		ret = image_work_keep_image(&i->work, i->store, name, image, err);
	if (ret == 0)
		return image;
	json_decref(image);
	return NULL;
}

json_t *image_import(const struct image_store *store, const struct image_order *order, struct error *err)
{
	struct import *i = calloc(1, sizeof(*i));
	char name[IMAGE_NAME_SIZE];
	json_t *image = NULL;

	if (!i) {
		error_set(err, ENOMEM, "out of memory");
		return NULL;
	}
	i->store = store;
	i->order = order;
	i->budget = layer_budget_of(order->bytes_max, order->entries_max);
	if (image_source_find(order->source, &i->source, err) == 0 && find_name(i, name, err) == 0 &&
	    image_work_begin(&i->work, store, err) == 0) {
		image = import(i, name, err);
		image_work_end(&i->work);
	}
	free(i);
	return image;
}
