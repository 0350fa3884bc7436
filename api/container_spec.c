#include "api/container_spec.h"

#include "api/container_start.h"
#include "api/container_template.h"
#include "api/image/image_name.h"
#include "api/image/store.h"
#include "common/cleanup.h"
#include "common/hex.h"

#include <errno.h>
#include <gnutls/crypto.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
	DIGEST_SIZE = 32, /* SHA-256 */
	DIGEST_TEXT_MAX = 160,
};

struct disk {
	char *path;
	int fd; /* keeps the file from being pruned */
};

struct container_spec {
	unsigned int n_holders;
	char image[IMAGE_NAME_SIZE];
	unsigned int n_disks;
	struct disk disks[AGENT_CONTAINER_DISKS_MAX];
	void *start;
	size_t start_size;
	bool is_held;
	char inputs[CONTAINER_SPEC_INPUTS_MAX];
	size_t inputs_size;
};

/* What is read to make one; all of it is released when it is made. */
struct sources {
	struct image_store store;
	json_t *image;
	json_t *template;
	json_t *secrets;
};

__attribute__((format(printf, 2, 3))) static void add_input(struct container_spec *spec, const char *format, ...)
{
	size_t left = sizeof(spec->inputs) - spec->inputs_size;
	va_list args;
	int n;

	va_start(args, format);
	n = vsnprintf(spec->inputs + spec->inputs_size, left, format, args);
	va_end(args);
	if (n > 0)
		spec->inputs_size += (size_t)n < left ? (size_t)n : left - 1;
}

/* ---- the image --------------------------------------------------------------------------------------------------- */

static int find_image(struct container_spec *spec, struct sources *from, struct error *err)
{
	const json_t *container = json_array_get(json_object_get(from->template, "containers"), 0);
	const char *name = json_string_value(json_object_get(container, "image"));
	const char *digest;

	if (!name)
		return error_set(err, EINVAL, "The property 'image' in 'customContainerTemplate' is missing.");
	if (image_name_normalize(name, spec->image, err) < 0)
		return error_wrap(err, "The property 'image' in 'customContainerTemplate'");
	from->image = image_store_get(&from->store, spec->image, err);
	if (!from->image && err->code == ENOENT)
		error_set(err, ENOENT, "There is no image '%.200s': import it with `hearth image import %.200s`.", name,
			  name);
	if (!from->image)
		return -err->code;
	digest = json_string_value(json_object_get(from->image, "digest"));
	if (!digest || strlen(digest) > DIGEST_TEXT_MAX || strpbrk(digest, "\n"))
		return error_set(err, ENOENT, "The image '%.200s' is damaged: import it again.", name);
	add_input(spec, "container_image=%s\n", digest);
	return 0;
}

/* The key in the name of a layer's file. */
static bool read_key(const json_t *layer, char key[IMAGE_HEX_SIZE])
{
	const char *file = json_string_value(json_object_get(layer, "file"));

	if (!file || strspn(file, "0123456789abcdef") != IMAGE_HEX_SIZE - 1 ||
	    strcmp(file + IMAGE_HEX_SIZE - 1, ".erofs") != 0)
		return false;
	memcpy(key, file, IMAGE_HEX_SIZE - 1);
	key[IMAGE_HEX_SIZE - 1] = '\0';
	return true;
}

static int add_disk(struct container_spec *spec, const struct image_store *store, const json_t *layer,
		    struct error *err)
{
	struct disk *disk = &spec->disks[spec->n_disks];
	char key[IMAGE_HEX_SIZE], path[PATH_MAX] = "";
	int fd = read_key(layer, key) ? image_store_hold_layer(store, key, path) : -ENOENT;

	if (fd == -ENOENT)
		return error_set(err, ENOENT, "The image '%.200s' is not complete any more: import it again.",
				 spec->image);
	if (fd < 0)
		return error_set(err, -fd, "cannot open %s: %s", path, strerror(-fd));
	*disk = (struct disk) { .path = strdup(path), .fd = fd };
	spec->n_disks++;
	add_input(spec, "container_disk=%s\n", key);
	return disk->path ? 0 : error_set(err, ENOMEM, "out of memory");
}

static int add_disks(struct container_spec *spec, const struct sources *from, struct error *err)
{
	const json_t *stack = json_object_get(from->image, "stack"), *layer;
	size_t i;

	if (json_array_size(stack) > AGENT_CONTAINER_DISKS_MAX)
		return error_set(err, EINVAL,
				 "The image '%.200s' is a stack of %zu files: a session has %d disks for it.",
				 spec->image, json_array_size(stack), AGENT_CONTAINER_DISKS_MAX);
	json_array_foreach(stack, i, layer) if (add_disk(spec, &from->store, layer, err) < 0) return -err->code;
	return 0;
}

/* ---- the start --------------------------------------------------------------------------------------------------- */

/* A copy of `size` bytes is kept. 0, or negative with *err filled. */
static int keep_start(struct container_spec *spec, const uint8_t *body, size_t size, struct error *err)
{
	uint8_t digest[DIGEST_SIZE];
	char hex[2 * DIGEST_SIZE + 1];

	spec->start = malloc(size);
	if (!spec->start || gnutls_hash_fast(GNUTLS_DIG_SHA256, body, size, digest) < 0)
		return error_set(err, ENOMEM, "out of memory");
	memcpy(spec->start, body, size);
	spec->start_size = size;
	hex_write(hex, digest, sizeof(digest));
	add_input(spec, "container_start=%s\n", hex);
	return 0;
}

static int encode(struct container_spec *spec, const struct agent_container *container, struct error *err)
{
	AUTO_FREE struct agent_container *checked = malloc(sizeof(*checked));
	AUTO_FREE uint8_t *body = malloc(AGENT_CONTAINER_BODY_MAX);
	size_t size = body ? agent_container_encode(container, body, AGENT_CONTAINER_BODY_MAX) : 0;
	const char *fault;
	int rc;

	if (!body || !checked)
		return error_set(err, ENOMEM, "out of memory");
	if (size == 0)
		return error_set(err, EINVAL,
				 "The arguments and variables of the container are too large: at most %d bytes in all.",
				 AGENT_CONTAINER_BODY_MAX);
	/* What the agent would refuse is better refused here. */
	fault = agent_container_decode(body, size, checked);
	rc = fault ? error_set(err, EINVAL, "The image '%.200s' cannot be started: %s.", spec->image, fault)
		   : keep_start(spec, body, size, err);
	explicit_bzero(body, size);
	return rc;
}

static int add_start(struct container_spec *spec, const struct sources *from, struct error *err)
{
	AUTO_FREE struct container_start *start = malloc(sizeof(*start));
	struct agent_container *container = start ? &start->container : NULL;
	int rc;

	if (!container)
		return error_set(err, ENOMEM, "out of memory");
	rc = container_start_read(start, from->template, from->secrets, json_object_get(from->image, "config"),
				  spec->image, err);
	container->n_disks = (uint8_t)spec->n_disks;
	spec->is_held = container->flags & AGENT_CONTAINER_HOLD;
	if (rc == 0)
		rc = encode(spec, container, err);
	container_start_fini(start);
	return rc;
}

/* ---- making ------------------------------------------------------------------------------------------------------ */

static int fill(struct container_spec *spec, struct sources *from, const char *image_folder, struct error *err)
{
	int rc = image_store_open(&from->store, image_folder, false, err);

	/* Nothing is pruned between the reading of what is known of the image and the opening of its layers. */
	if (rc == 0)
		rc = find_image(spec, from, err);
	if (rc == 0)
		rc = add_disks(spec, from, err);
	image_store_close(&from->store);
	return rc < 0 ? rc : add_start(spec, from, err);
}

struct container_spec *container_spec_make(const struct pool_definition *d, const char *image_folder, struct error *err)
{
	struct container_spec *spec = calloc(1, sizeof(*spec));
	struct sources from = { 0 };
	int rc;

	if (!spec) {
		error_set(err, ENOMEM, "out of memory");
		return NULL;
	}
	spec->n_holders = 1;
	from.template = container_template_json(d);
	from.secrets = container_secrets_open(d);
	rc = fill(spec, &from, image_folder, err);
	container_secrets_close(from.secrets);
	json_decref(from.template);
	json_decref(from.image);
	if (rc == 0)
		return spec;
	container_spec_release(spec);
	return NULL;
}

struct container_spec *container_spec_hold(struct container_spec *spec)
{
	spec->n_holders++;
	return spec;
}

void container_spec_release(struct container_spec *spec)
{
	if (!spec || --spec->n_holders > 0)
		return;
	for (unsigned int i = 0; i < spec->n_disks; i++) {
		free(spec->disks[i].path);
		close(spec->disks[i].fd);
	}
	if (spec->start)
		explicit_bzero(spec->start, spec->start_size);
	free(spec->start);
	free(spec);
}

/* ---- what it says ------------------------------------------------------------------------------------------------ */

unsigned int container_spec_n_disks(const struct container_spec *spec)
{
	return spec->n_disks;
}

const char *container_spec_disk(const struct container_spec *spec, unsigned int i)
{
	return spec->disks[i].path;
}

const void *container_spec_start(const struct container_spec *spec, size_t *size)
{
	*size = spec->start_size;
	return spec->start;
}

const char *container_spec_inputs(const struct container_spec *spec)
{
	return spec->inputs;
}

const char *container_spec_image(const struct container_spec *spec)
{
	return spec->image;
}

bool container_spec_is_held(const struct container_spec *spec)
{
	return spec->is_held;
}

bool container_spec_equal(const struct container_spec *a, const struct container_spec *b)
{
	if (!a || !b)
		return a == b;
	if (strcmp(a->inputs, b->inputs) != 0 || a->n_disks != b->n_disks)
		return false;
	for (unsigned int i = 0; i < a->n_disks; i++)
		if (strcmp(a->disks[i].path, b->disks[i].path) != 0)
			return false;
	return true;
}
