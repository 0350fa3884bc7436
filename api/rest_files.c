/* Files of a session, but for uploads: which operation an address means, and in which family's shape it is answered. */
#include "api/byte_range.h"
#include "api/file_call.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

/* The last version of the legacy family. Versions compare as texts. */
#define LEGACY_LAST "2024-08-02-preview"

static enum file_family family_of(const struct http_request *r)
{
	const char *version = url_parameter(&r->url, "api-version");

	return version && strcasecmp(version, LEGACY_LAST) <= 0 ? FILE_LEGACY : FILE_NEW;
}

static void start(struct service *s, struct http_request *r, const struct agent_file_order *order)
{
	struct pool *pool = rest_check_version(r) ? rest_pool(s, r) : NULL;
	const char *identifier = pool ? rest_identifier(r, NULL) : NULL;

	if (identifier)
		file_call_start(s, pool, r, identifier, family_of(r), order);
}

/* Starts the path with the folder that the query names. False after an answer was given. */
static bool read_folder(struct http_request *r, char path[FILE_PATH_SIZE])
{
	const char *folder = url_parameter(&r->url, "path");
	struct error err = { 0 };

	path[0] = '\0';
	if (!folder || file_path_add_folder(path, folder, &err) == 0)
		return true;
	rest_error(r, 400, "FilePathInvalid", "%s", err.text);
	return false;
}

void rest_files_list(struct service *s, struct http_request *r)
{
	const char *recursive = url_parameter(&r->url, "recursive");
	char path[FILE_PATH_SIZE];
	const struct agent_file_order order = {
		.type = AGENT_FILE_LIST,
		.path = path,
		.is_recursive = recursive && strcasecmp(recursive, "true") == 0,
	};

	if (read_folder(r, path))
		start(s, r, &order);
}

/* ---- one file ---------------------------------------------------------------------------------------------------- */

/* Segments of the address, as decoded: a slash may be among them, encoded or not. */
struct names {
	char *const *list;
	size_t n;
};

/*
 * Range is for GET alone. With If-Range it counts only if the file is still the one that the client knows, and no answer
 * of ours has a validator by which it could.
 */
static void read_range(const struct http_request *r, struct agent_file_order *order)
{
	const char *header = http_request_header(r, "Range");
	struct byte_range range = { 0 };

	if (strcmp(r->method, "HEAD") == 0)
		order->is_part = true; /* none of its bytes */
	else if (header && !http_request_header(r, "If-Range"))
		order->is_part = byte_range_parse(header, &range);
	order->offset = range.offset;
	order->length = range.length;
}

static void operate(struct service *s, struct http_request *r, enum agent_frame_type type, struct names names)
{
	char path[FILE_PATH_SIZE];
	struct agent_file_order order = { .type = type, .path = path };
	struct error err = { 0 };

	if (!read_folder(r, path))
		return;
	for (size_t i = 0; i < names.n; i++) {
		if (file_path_add_name(path, names.list[i], &err) < 0) {
			rest_error(r, 400, "FilePathInvalid", "%s", err.text);
			return;
		}
	}
	if (type == AGENT_FILE_READ)
		read_range(r, &order);
	start(s, r, &order);
}

static bool is_content(const char *segment)
{
	return strcmp(segment, "content") == 0;
}

/*
 * Downloads are files/content/{name} in the legacy family, perhaps with /content behind it, and files/{name}/content in
 * the new one; what is neither is metadata. Both forms work under each version, so a file "content" is meant by
 * files/content/content in each of them, and by files/content alone where its metadata is.
 */
void rest_files_get(struct service *s, struct http_request *r)
{
	struct names names = { r->path_rest, r->n_path_rest };

	if (names.n == 1) {
		operate(s, r, AGENT_FILE_STAT, names);
		return;
	}
	if (is_content(names.list[0])) {
		names = (struct names) { names.list + 1, names.n - 1 };
		names.n -= names.n > 1 && is_content(names.list[names.n - 1]);
		operate(s, r, AGENT_FILE_READ, names);
	} else if (is_content(names.list[names.n - 1])) {
		names.n--;
		operate(s, r, AGENT_FILE_READ, names);
	} else {
		operate(s, r, AGENT_FILE_STAT, names);
	}
}

void rest_files_download(struct service *s, struct http_request *r)
{
	operate(s, r, AGENT_FILE_READ, (struct names) { r->path_rest, r->n_path_rest });
}

void rest_files_delete(struct service *s, struct http_request *r)
{
	operate(s, r, AGENT_FILE_DELETE, (struct names) { r->path_rest, r->n_path_rest });
}
