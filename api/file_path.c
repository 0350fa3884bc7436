#include "api/file_path.h"

#include "api/utf8.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#define DATA_FOLDER "mnt/data" /* in the guest */

enum { PART_MAX = 255 };

static bool has_control(const char *text)
{
	for (; *text; text++)
		if ((unsigned char)*text < 0x20 || *text == 0x7f)
			return true;
	return false;
}

/* Appends one part. False if it is no name, or does not fit. */
static bool add_part(char out[FILE_PATH_SIZE], const char *part, size_t length)
{
	size_t n = strlen(out);

	if (length == 0 || (length == 1 && *part == '.'))
		return true;
	if (length > PART_MAX || (length == 2 && memcmp(part, "..", 2) == 0) || n + 1 + length >= FILE_PATH_SIZE)
		return false;
	snprintf(out + n, FILE_PATH_SIZE - n, "%s%.*s", n ? "/" : "", (int)length, part);
	return true;
}

/* What follows /mnt/data, if the text is a path there. */
static const char *strip_data_folder(const char *text)
{
	const char *rest = text + strspn(text, "/");
	size_t length = sizeof(DATA_FOLDER) - 1;

	return strncmp(rest, DATA_FOLDER, length) == 0 && (rest[length] == '/' || !rest[length]) ? rest + length : text;
}

static bool add(char out[FILE_PATH_SIZE], const char *text)
{
	if (has_control(text))
		return false;
	text = strip_data_folder(text);
	while (*text) {
		size_t length = strcspn(text, "/");

		if (!add_part(out, text, length))
			return false;
		text += length + (text[length] == '/');
	}
	return true;
}

int file_path_add_folder(char out[FILE_PATH_SIZE], const char *text, struct error *err)
{
	if (utf8_is_valid(text, strlen(text)) && add(out, text))
		return 0;
	return error_set(err, EINVAL,
			 "File Path '%.128s' is invalid because 'path cannot contain any reserved file path "
			 "characters'.",
			 utf8_is_valid(text, strnlen(text, 128)) ? text : "?");
}

int file_path_add_name(char out[FILE_PATH_SIZE], const char *text, struct error *err)
{
	size_t n = strlen(out);

	if (utf8_is_valid(text, strlen(text)) && add(out, text) && strlen(out) > n && text[strlen(text) - 1] != '/')
		return 0;
	return error_set(err, EINVAL,
			 "File Name '%.128s' is invalid because 'filename cannot contain any reserved file path "
			 "characters'.",
			 utf8_is_valid(text, strnlen(text, 128)) ? text : "?");
}

const char *file_path_name(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash ? slash + 1 : path;
}

const char *file_path_content_type(const char *path)
{
	static const struct {
		const char *ending, *type;
	} types[] = {
		{ ".txt", "text/plain; charset=utf-8" },
		{ ".log", "text/plain; charset=utf-8" },
		{ ".py", "text/x-python; charset=utf-8" },
		{ ".js", "text/javascript; charset=utf-8" },
		{ ".mjs", "text/javascript; charset=utf-8" },
		{ ".csv", "text/csv; charset=utf-8" },
		{ ".tsv", "text/tab-separated-values; charset=utf-8" },
		{ ".md", "text/markdown; charset=utf-8" },
		{ ".html", "text/html; charset=utf-8" },
		{ ".htm", "text/html; charset=utf-8" },
		{ ".css", "text/css; charset=utf-8" },
		{ ".xml", "application/xml" },
		{ ".json", "application/json" },
		{ ".ipynb", "application/x-ipynb+json" },
		{ ".yaml", "application/yaml" },
		{ ".yml", "application/yaml" },
		{ ".pdf", "application/pdf" },
		{ ".zip", "application/zip" },
		{ ".gz", "application/gzip" },
		{ ".tar", "application/x-tar" },
		{ ".png", "image/png" },
		{ ".jpg", "image/jpeg" },
		{ ".jpeg", "image/jpeg" },
		{ ".gif", "image/gif" },
		{ ".svg", "image/svg+xml" },
		{ ".webp", "image/webp" },
		{ ".mp3", "audio/mpeg" },
		{ ".wav", "audio/wav" },
		{ ".mp4", "video/mp4" },
		{ ".parquet", "application/vnd.apache.parquet" },
		{ ".xlsx", "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet" },
		{ ".docx", "application/vnd.openxmlformats-officedocument.wordprocessingml.document" },
		{ ".pptx", "application/vnd.openxmlformats-officedocument.presentationml.presentation" },
	};
	const char *ending = strrchr(file_path_name(path), '.');

	for (size_t i = 0; ending && i < sizeof(types) / sizeof(types[0]); i++)
		if (strcasecmp(ending, types[i].ending) == 0)
			return types[i].type;
	return "application/octet-stream";
}
