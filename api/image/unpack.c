#include "api/image/image_archive.h"
#include "api/image/source.h"
#include "common/cleanup.h"
#include "common/text.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { FILES_MAX = 4096 }; /* of a layout: many images, with many layers each */

/* ---- an OCI layout ----------------------------------------------------------------------------------------------- */

/* Digits in hexadecimal, and nothing else: no name of an archive leads anywhere. */
static bool is_blob(const char *name)
{
	size_t digits = strspn(name, "0123456789abcdef");

	return digits > 0 && digits <= 128 && name[digits] == '\0';
}

/* What an OCI layout consists of. Everything else in the archive, links above all, is passed over. */
static bool is_of_layout(const char *name)
{
	return strcmp(name, "oci-layout") == 0 || strcmp(name, "index.json") == 0 ||
	       (text_begins_with(name, "blobs/sha256/") && is_blob(name + strlen("blobs/sha256/"))) ||
	       (text_begins_with(name, "blobs/sha512/") && is_blob(name + strlen("blobs/sha512/")));
}

static int make_folders(const char *folder, struct error *err)
{
	static const char *const names[] = { "", "/blobs", "/blobs/sha256", "/blobs/sha512" };
	char path[PATH_MAX + 32];

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		snprintf(path, sizeof(path), "%s%s", folder, names[i]);
		if (mkdir(path, 0700) < 0)
			return error_set(err, errno, "cannot make %s: %s", path, strerror(errno));
	}
	return 0;
}

static int unpack_file(struct archive *archive, const char *path, uint64_t size_max, uint64_t *total, struct error *err)
{
	AUTO_FD int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);

	if (fd < 0)
		return error_set(err, errno, "cannot make %s: %s", path, strerror(errno));
	return image_archive_copy(archive, fd, size_max, total, err);
}

static int unpack_files(struct archive *archive, const char *folder, uint64_t size_max, struct error *err)
{
	char path[PATH_MAX + 256];
	struct archive_entry *entry;
	size_t n_files = 0;
	uint64_t total = 0;
	int ret;

	while ((ret = archive_read_next_header(archive, &entry)) == ARCHIVE_OK || ret == ARCHIVE_WARN) {
		const char *name = image_archive_member(entry);

		if (archive_entry_filetype(entry) != AE_IFREG || archive_entry_hardlink(entry) || !is_of_layout(name))
			continue;
		if (n_files++ == FILES_MAX)
			return error_set(err, EINVAL, "it has more than %d files", FILES_MAX);
		snprintf(path, sizeof(path), "%s/%s", folder, name);
		if (unpack_file(archive, path, size_max, &total, err) < 0)
			return -err->code;
	}
	return ret == ARCHIVE_EOF ? 0 : error_set(err, EINVAL, "it is damaged: %s", archive_error_string(archive));
}

static int unpack_archive(const char *path, const char *folder, uint64_t size_max, struct error *err)
{
	struct archive *archive = image_archive_open(path, false, err);
	int ret = archive ? unpack_files(archive, folder, size_max, err) : -err->code;

	archive_read_free(archive);
	return ret < 0 ? error_wrap(err, "%s", path) : 0;
}

int image_source_unpack(struct image_source *source, const char *folder, uint64_t size_max, struct error *err)
{
	char given[sizeof(source->reference)], tag[sizeof(source->reference)];
	char *path = given + strlen("oci-archive:"), *colon;

	memcpy(given, source->reference, sizeof(given));
	colon = path + strcspn(path, ":");
	snprintf(tag, sizeof(tag), "%s", colon);
	*colon = '\0';
	if (make_folders(folder, err) < 0 || unpack_archive(path, folder, size_max, err) < 0)
		return -err->code;
	if (snprintf(source->reference, sizeof(source->reference), "oci:%s%s", folder, tag) >=
	    (int)sizeof(source->reference))
		return error_set(err, ENAMETOOLONG, "the path of the folder for images is too long");
	return 0;
}

/* ---- one that is compressed as a whole --------------------------------------------------------------------------- */

static int uncompress(const char *path, const char *file, uint64_t size_max, struct error *err)
{
	AUTO_FD int fd = open(file, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	struct archive_entry *entry;
	struct archive *archive;
	uint64_t total = 0;
	int ret;

	if (fd < 0)
		return error_set(err, errno, "cannot make %s: %s", file, strerror(errno));
	archive = image_archive_open(path, true, err);
	if (!archive)
		return -err->code;
	ret = archive_read_next_header(archive, &entry) == ARCHIVE_OK
		      ? image_archive_copy(archive, fd, size_max, &total, err)
		      : error_set(err, EINVAL, "it is damaged: %s", archive_error_string(archive));
	archive_read_free(archive);
	return ret;
}

int image_source_uncompress(struct image_source *source, const char *file, uint64_t size_max, struct error *err)
{
	if (uncompress(source->compressed, file, size_max, err) < 0)
		return error_wrap(err, "%s", source->compressed);
	source->reference[strcspn(source->reference, ":") + 1] = '\0';
	snprintf(source->reference + strlen(source->reference), PATH_MAX, "%s", file);
	return 0;
}
