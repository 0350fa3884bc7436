#include "image.h"
#include "api/image/image_name.h"
#include "api/image/import.h"
#include "api/image/store.h"
#include "exit_status.h"
#include "image_folder.h"
#include "report.h"
#include "view.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum {
	SIZE_MIB_DEFAULT = 16 * 1024,
	ENTRIES_DEFAULT = 1000 * 1000,
	/* What an image of EROFS can have, in blocks of 4 KiB, with much room left. */
	SIZE_MIB_MAX = 1024 * 1024,
	ENTRIES_MAX = 100 * 1000 * 1000,
};

#define FOLDER_OPTION                                                                                                  \
	OPTION(OPTION_TEXT, 0, "image-dir", image_directory, "DIR",                                                    \
	       "where images are kept; default: $HEARTH_IMAGE_DIR, or image-dir of hearthd's configuration")
#define OUTPUT_OPTION                                                                                                  \
	OPTION(OPTION_TEXT, 'o', "output", output, "FORMAT",                                                           \
	       "table, json, jsonc (coloured), tsv or none; default: a table on a terminal, else JSON")
#define LAST_OPTIONS                                                                                                   \
	FOLDER_OPTION, OPTION(OPTION_SWITCH, 'h', "help", help, NULL, "print this"),                                   \
	{                                                                                                              \
		.kind = OPTION_END                                                                                     \
	}

static const struct option_spec import_options[] = {
	OPTION(OPTION_NUMBER, 0, "max-size", max_size_mib, "MIB",
	       "refuse an image with more in its layers, uncompressed; default: 16384"),
	OPTION(OPTION_NUMBER, 0, "max-entries", max_entries, "N", "likewise with more files; default: 1000000"),
	OPTION(OPTION_SWITCH, 0, "insecure-registry", insecure_registry, NULL,
	       "take it from a registry by plain HTTP, or with a certificate that this machine does not trust"),
	OUTPUT_OPTION,
	LAST_OPTIONS,
};

static const struct option_spec list_options[] = { OUTPUT_OPTION, LAST_OPTIONS };
static const struct option_spec plain_options[] = { LAST_OPTIONS };

static const struct view_column columns[] = {
	{ "NAME", "name", VIEW_PLAIN },   { "IMAGE ID", "shortId", VIEW_PLAIN },   { "SIZE", "size", VIEW_PLAIN },
	{ "FILES", "files", VIEW_PLAIN }, { "IMPORTED", "importedAt", VIEW_TIME }, { NULL, NULL, VIEW_PLAIN },
};

/* ---- for all commands -------------------------------------------------------------------------------------------- */

/* What went wrong with the store or an image, as an exit status. */
static int failed(struct error *err)
{
	err->code = err->code == EINVAL ? STATUS_USAGE : err->code == ENOENT ? STATUS_NOT_FOUND : STATUS_SERVICE;
	return -err->code;
}

static int open_store(struct image_store *store, const struct options *o, bool is_exclusive, struct error *err)
{
	char folder[PATH_MAX];

	if (image_folder_find(o->image_directory, folder, err) < 0)
		return -err->code;
	if (image_store_open(store, folder, is_exclusive, err) < 0) {
		image_store_close(store);
		return failed(err);
	}
	return 0;
}

/* The name that is the first argument. */
static int take_name(const struct options *o, char name[IMAGE_NAME_SIZE], struct error *err)
{
	const char *given = command_name(o, NULL, "the image's name (hearth image ls shows it)", err);

	if (!given)
		return -err->code;
	return image_name_normalize(given, name, err) < 0 ? failed(err) : 0;
}

static bool is_table(const char *format)
{
	return strcmp(format, "table") == 0 || strcmp(format, "tsv") == 0;
}

/* For the table: what is shown shorter there. */
static void shorten(json_t *image)
{
	const char *id = json_string_value(json_object_get(image, "imageId"));
	json_int_t size = json_integer_value(json_object_get(image, "sizeInBytes"));

	if (id)
		json_object_set_new(image, "shortId", json_sprintf("%.12s", strncmp(id, "sha256:", 7) ? id : id + 7));
	json_object_set_new(image, "size", json_sprintf("%.1f MiB", (double)size / (1024 * 1024)));
	json_object_set_new(image, "files", json_integer((json_int_t)json_array_size(json_object_get(image, "stack"))));
}

/* Prints one image, or an array of them. */
static int print(json_t *images, const struct options *o, struct error *err)
{
	bool as_table = o->output ? is_table(o->output) : isatty(STDOUT_FILENO);
	json_t *image;
	size_t i;

	if (as_table && json_is_object(images))
		shorten(images);
	if (as_table)
		json_array_foreach(images, i, image) shorten(image);
	return view_print(images, columns, o->output, err);
}

/* ---- import ------------------------------------------------------------------------------------------------------ */

/* On a terminal a line is written over the one before that was not done; elsewhere there are only those that are. */
static void show_progress(void *context, const char *line, bool is_done)
{
	bool on_terminal = *(const bool *)context;
	char safe[256];

	report_make_safe(line, safe, sizeof(safe));
	if (on_terminal)
		fprintf(stderr, "\r\033[K%s%s", safe, is_done ? "\n" : "");
	else if (is_done)
		fprintf(stderr, "%s\n", safe);
}

static int check_limits(const struct options *o, struct image_order *order, struct error *err)
{
	long size = o->max_size_mib == OPTIONS_UNSET ? SIZE_MIB_DEFAULT : o->max_size_mib;
	long entries = o->max_entries == OPTIONS_UNSET ? ENTRIES_DEFAULT : o->max_entries;

	if (size < 1 || size > SIZE_MIB_MAX)
		return error_set(err, STATUS_USAGE, "--max-size takes a number from 1 to %d", SIZE_MIB_MAX);
	if (entries < 1 || entries > ENTRIES_MAX)
		return error_set(err, STATUS_USAGE, "--max-entries takes a number from 1 to %d", ENTRIES_MAX);
	order->bytes_max = (uint64_t)size << 20;
	order->entries_max = (uint64_t)entries;
	return 0;
}

static int import(struct service *s, const struct options *o, struct error *err)
{
	bool on_terminal = isatty(STDERR_FILENO);
	struct image_order order = {
		.source = command_name(o, NULL, "where the image is (hearth image --help shows examples)", err),
		.name = o->n_arguments > 1 ? o->arguments[1] : NULL,
		.allow_insecure = o->insecure_registry,
		.progress = show_progress,
		.context = &on_terminal,
	};
	struct image_store store;
	json_t *image;
	int ret;

	(void)s;
	if (!order.source || check_limits(o, &order, err) < 0 || open_store(&store, o, false, err) < 0)
		return -err->code;
	image = image_import(&store, &order, err);
	if (!image && on_terminal)
		fputs("\r\033[K", stderr);
	ret = image ? print(image, o, err) : failed(err);
	json_decref(image);
	image_store_close(&store);
	return ret;
}

/* ---- the others -------------------------------------------------------------------------------------------------- */

static int list(struct service *s, const struct options *o, struct error *err)
{
	struct image_store store;
	json_t *images;
	int ret;

	(void)s;
	if (open_store(&store, o, false, err) < 0)
		return -err->code;
	images = image_store_list(&store, err);
	ret = images ? print(images, o, err) : failed(err);
	json_decref(images);
	image_store_close(&store);
	return ret;
}

static int inspect(struct service *s, const struct options *o, struct error *err)
{
	char name[IMAGE_NAME_SIZE];
	struct image_store store;
	json_t *image;
	int ret;

	(void)s;
	if (take_name(o, name, err) < 0 || open_store(&store, o, false, err) < 0)
		return -err->code;
	image = image_store_get(&store, name, err);
	if (image && o->output && is_table(o->output))
		shorten(image);
	ret = image ? view_print(image, columns, o->output ? o->output : "json", err) : failed(err);
	json_decref(image);
	image_store_close(&store);
	return ret;
}

static int remove_image(struct service *s, const struct options *o, struct error *err)
{
	char name[IMAGE_NAME_SIZE];
	struct image_store store;
	int ret;

	(void)s;
	if (take_name(o, name, err) < 0 || open_store(&store, o, false, err) < 0)
		return -err->code;
	ret = image_store_remove(&store, name, err) < 0 ? failed(err) : 0;
	if (ret == 0)
		printf("Removed %s. `hearth image prune` removes the layers that no image needs any more.\n", name);
	image_store_close(&store);
	return ret;
}

static int prune(struct service *s, const struct options *o, struct error *err)
{
	struct image_pruned pruned = { 0 };
	struct image_store store;
	struct image_work work;
	int ret;

	(void)s;
	if (open_store(&store, o, true, err) < 0)
		return -err->code;
	/* Begun, this clears away what others have left behind. */
	ret = image_work_begin(&work, &store, err);
	image_work_end(&work);
	if (ret == 0)
		ret = image_store_prune(&store, &pruned, err);
	image_store_close(&store);
	if (ret < 0)
		return failed(err);
	printf("Removed %" PRIu64 " layers, %" PRIu64 " MiB.\n", pruned.n_files, pruned.n_bytes >> 20);
	if (pruned.n_held > 0)
		printf("%" PRIu64 " more stay: hearthd uses them for a pool.\n", pruned.n_held);
	return 0;
}

static const struct command commands[] = {
	{ "import", "SOURCE [NAME]", "Imports an image from a folder, an archive or a registry.", import_options, 2,
	  import },
	{ "ls", "", "Shows the images that were imported.", list_options, 0, list },
	{ "inspect", "NAME", "Shows all that is known of an image.", list_options, 1, inspect },
	{ "rm", "NAME", "Forgets an image.", plain_options, 1, remove_image },
	{ "prune", "", "Removes the layers that no image needs, and what killed imports have left.", plain_options, 0,
	  prune },
	{ NULL, NULL, NULL, NULL, 0, NULL },
};

const struct command_group image_commands = {
	.name = "image",
	.summary = "Container images, imported from OCI layouts, archives and registries, and kept on this machine.",
	.commands = commands,
	.examples = "  docker save team/app:1.2 | gzip >app.tar.gz; hearth image import app.tar.gz\n"
		    "  hearth image import ./layout team/app:1.2      # a folder with an OCI layout; oci:./layout:TAG\n"
		    "  hearth image import registry.example/team/app:1.2\n"
		    "  hearth image ls\n"
		    "  hearth image rm team/app:1.2 && hearth image prune\n",
	.is_local = true,
};
