#include "picture.h"
#include "common/base64.h"
#include "common/cleanup.h"
#include "exit_status.h"
#include "interrupt.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

/* In order of preference: a bundle holds the same picture in several formats. */
static const struct picture_format {
	const char *mime_type;
	const char *extension;
	bool is_text;
} formats[] = {
	{ "image/png", "png", false }, { "image/svg+xml", "svg", true }, { "image/jpeg", "jpg", false },
	{ "image/gif", "gif", false }, { "image/webp", "webp", false },
};

/* Opens a file that did not exist. Its descriptor, or -errno. */
static int create_file(const char *directory, const char *extension, char *path, size_t path_size)
{
	int fd = -1;

	if (mkdir(directory, 0777) < 0 && errno != EEXIST)
		return -errno;
	for (int n = 1; fd < 0; n++) {
		int length = snprintf(path, path_size, "%s/hearth-%d.%s", directory, n, extension);

		if (length < 0 || (size_t)length >= path_size)
			return -ENAMETOOLONG;
		fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
		if (fd < 0 && errno != EEXIST)
			return -errno;
	}
	return fd;
}

static int save_bytes(const void *data, size_t size, const char *directory, const struct picture_format *format,
		      char *path, size_t path_size, struct error *err)
{
	AUTO_FD int fd = create_file(directory, format->extension, path, path_size);
	int ret = fd < 0 ? fd : write_unless_interrupted(fd, data, size);

	if (ret < 0)
		return error_set(err, STATUS_SERVICE,
				 "cannot save a picture in %s: %s (choose a folder with --output-dir)", directory,
				 strerror(-ret));
	return 1;
}

int picture_save(const json_t *bundle, const char *directory, char *path, size_t path_size, struct error *err)
{
	const struct picture_format *format = formats;
	const struct picture_format *end = formats + sizeof(formats) / sizeof(formats[0]);
	AUTO_FREE uint8_t *bytes = NULL;
	const json_t *value = NULL;
	ssize_t size;

	while (format < end && !json_is_string(value = json_object_get(bundle, format->mime_type)))
		format++;
	if (format == end)
		return 0;
	if (format->is_text && json_string_value(value)[0] == '<')
		return save_bytes(json_string_value(value), json_string_length(value), directory, format, path,
				  path_size, err);

	bytes = malloc(base64_decoded_size_max(json_string_length(value)));
	if (!bytes)
		return error_set(err, STATUS_SERVICE, "not enough memory for a picture");
	size = base64_decode(json_string_value(value), json_string_length(value), bytes);
	if (size < 0)
		return error_set(err, STATUS_SERVICE, "the service sent a picture (%s) that is not base64",
				 format->mime_type);
	return save_bytes(bytes, (size_t)size, directory, format, path, path_size, err);
}
