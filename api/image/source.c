#include "api/image/source.h"

#include "api/image/image_archive.h"
#include "common/text.h"

#include <errno.h>
#include <jansson.h>
#include <libgen.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { TAGS_SIZE_MAX = 1024 * 1024 }; /* of a docker-archive's manifest.json */

static const char *const transports[] = {
	"docker://", "oci:", "oci-archive:", "docker-archive:", "docker-daemon:", "containers-storage:", "dir:"
};

/* ---- what is in an archive --------------------------------------------------------------------------------------- */

/* The first name of the only image in a docker-archive; "" if there is no such thing. */
static void take_tag(struct archive *archive, char name[IMAGE_NAME_SIZE])
{
	char *text = malloc(TAGS_SIZE_MAX);
	la_ssize_t size = text ? archive_read_data(archive, text, TAGS_SIZE_MAX) : -1;
	json_t *images = size > 0 ? json_loadb(text, (size_t)size, 0, NULL) : NULL;
	const json_t *tags = json_object_get(json_array_get(images, 0), "RepoTags");
	const char *tag = json_string_value(json_array_get(tags, 0));
	struct error ignored;

	if (!tag || json_array_size(images) != 1 || image_name_normalize(tag, name, &ignored) < 0)
		name[0] = '\0';
	json_decref(images);
	free(text);
}

/* docker-archive or oci-archive (newer ones of `docker save` are both); NULL if it is neither. */
static const char *find_kind(const char *path, char name[IMAGE_NAME_SIZE], bool *is_compressed)
{
	struct error ignored;
	struct archive *archive = image_archive_open(path, false, &ignored);
	struct archive_entry *entry;
	const char *kind = NULL;

	if (!archive)
		return NULL;
	while (archive_read_next_header(archive, &entry) >= ARCHIVE_WARN) {
		const char *member = image_archive_member(entry);

		if (strcmp(member, "oci-layout") == 0)
			kind = "oci-archive";
		if (strcmp(member, "manifest.json") == 0) {
			kind = "docker-archive";
			take_tag(archive, name);
			break;
		}
	}
	*is_compressed = archive_filter_code(archive, 0) != ARCHIVE_FILTER_NONE;
	archive_read_free(archive);
	return kind;
}

/* ---- what was given ---------------------------------------------------------------------------------------------- */

/* "app" of "/srv/images/app.tar.gz"; "" if that cannot be an image's name. */
static void name_by_path(const char *path, char name[IMAGE_NAME_SIZE])
{
	char copy[PATH_MAX];
	struct error ignored;
	char *base;

	snprintf(copy, sizeof(copy), "%s", path);
	base = basename(copy);
	base[strcspn(base, ".:")] = '\0';
	if (image_name_normalize(base, name, &ignored) < 0)
		name[0] = '\0';
}

static int take_path(const char *path, const struct stat *status, struct image_source *source, struct error *err)
{
	bool is_folder = S_ISDIR(status->st_mode), is_compressed = false;
	const char *kind = is_folder ? "oci" : NULL;
	char layout[PATH_MAX];

	if (is_folder && (snprintf(layout, sizeof(layout), "%s/oci-layout", path) >= (int)sizeof(layout) ||
			  access(layout, F_OK) < 0))
		return error_set(err, EINVAL, "the folder %s has no file oci-layout: it is no OCI layout", path);
	if (S_ISREG(status->st_mode))
		kind = find_kind(path, source->name, &is_compressed);
	if (!kind)
		return error_set(
			err, EINVAL,
			"%s is no archive of an image: `docker save` makes one, or `skopeo copy … oci-archive:…`",
			path);
	if (strchr(path, ':'))
		return error_set(err, EINVAL, "skopeo reads no path with a colon, such as %s: give it another name",
				 path);
	if (!*source->name)
		name_by_path(path, source->name);
	if (is_compressed)
		source->compressed = path;
	snprintf(source->reference, sizeof(source->reference), "%s:%s", kind, path);
	return 0;
}

static int take_registry(const char *given, struct image_source *source, struct error *err)
{
	if (image_name_normalize(given, source->name, err) < 0)
		return error_wrap(err, "there is no file of that name, and");
	snprintf(source->reference, sizeof(source->reference), "docker://%s", source->name);
	return 0;
}

int image_source_find(const char *given, struct image_source *source, struct error *err)
{
	struct stat status;

	*source = (struct image_source) { 0 };
	if (strlen(given) >= PATH_MAX)
		return error_set(err, ENAMETOOLONG, "where the image is has a name that is too long");
	if (text_begins_with(given, "docker://"))
		return take_registry(given + strlen("docker://"), source, err);
	for (size_t i = 0; i < sizeof(transports) / sizeof(transports[0]); i++) {
		const char *rest = given + strlen(transports[i]);

		if (!text_begins_with(given, transports[i]))
			continue;
		snprintf(source->reference, sizeof(source->reference), "%s", given);
		if (text_begins_with(given, "docker-daemon:") || text_begins_with(given, "containers-storage:"))
			return image_name_normalize(rest, source->name, err);
		name_by_path(rest, source->name);
		return 0;
	}
	if (stat(given, &status) == 0)
		return take_path(given, &status, source, err);
	if (errno != ENOENT && errno != ENOTDIR && errno != ENAMETOOLONG)
		return error_set(err, errno, "cannot look at %s: %s", given, strerror(errno));
	if (given[0] == '/' || given[0] == '.')
		return error_set(err, ENOENT, "there is no %s", given);
	source->is_no_file = true;
	return take_registry(given, source, err);
}
