/*
 * Uploads: a multipart body with one file, written into the session while it comes. The first words of the body decide
 * which file it is; from then on what the guest does not take is not read from the client.
 */
#include "api/content_disposition.h"
#include "api/file_call.h"
#include "api/multipart.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
	OVERHEAD_MAX = 1 << 20, /* bytes of a body that are not its file: headers, boundaries, other fields */
};

struct upload {
	struct file_call call;
	const char *identifier; /* in the request's address */
	struct multipart multipart;
	struct buffer pending; /* content that the guest has not taken: less than a block of the server's */
	uint64_t n_body;
	uint64_t file_size_max; /* bytes, as the pool says */
	bool has_file;          /* its part has begun, and … */
	bool is_in_file;        /* … goes on */
	bool is_open;           /* the guest takes content */
	bool is_complete;       /* the body is there */
};

static struct upload *upload_of(struct file_call *c)
{
	return (struct upload *)c; /* its first member */
}

static void destroy(struct file_call *c)
{
	struct upload *u = upload_of(c);

	buffer_fini(&u->pending);
	free(u);
}

static void refuse(struct upload *u, unsigned int status, const char *code, const char *message)
{
	rest_error(u->call.http, status, code, "%s", message);
	file_call_end(&u->call);
}

/* ---- the file ---------------------------------------------------------------------------------------------------- */

/* Names in the folder of the query, but for those that say themselves where they are. */
static int make_path(const struct upload *u, char path[FILE_PATH_SIZE], const char *name, struct error *err)
{
	const char *folder = url_parameter(&u->call.http->url, "path");

	path[0] = '\0';
	if (folder && strncmp(name, "/mnt/data/", 10) != 0 && file_path_add_folder(path, folder, err) < 0)
		return -err->code;
	return file_path_add_name(path, name, err);
}

static void begin_file(struct upload *u)
{
	const char *agent = http_request_header(u->call.http, "User-Agent");
	struct pool *pool = pools_find(u->call.service->pools, u->call.http->pool);
	char name[FILE_NAME_SIZE];
	struct error err = { 0 };

	/* A field that is no file says nothing to us. */
	if (!content_disposition_file_name(u->multipart.headers, agent && strstr(agent, "aiohttp"), name))
		return;
	if (u->has_file) {
		refuse(u, 400, "SessionRequestValidationFailed", "The body has more than one file.");
	} else if (!pool) {
		refuse(u, 404, "ResourceNotFound", "The session pool was deleted.");
	} else if (make_path(u, u->call.path, name, &err) < 0) {
		refuse(u, 400, "FilePathInvalid", err.text);
	} else {
		u->has_file = u->is_in_file = true;
		u->call.order.type = AGENT_FILE_WRITE;
		u->call.order.size_max = u->file_size_max;
		file_call_begin(&u->call, pool, u->identifier);
	}
}

/* What the guest does not take now is kept, and then no more is read. */
static void write_content(struct upload *u, const char *data, size_t size)
{
	size_t n = u->pending.size ? 0 : file_call_write(&u->call, data, size);

	if (n == size || u->call.is_closing)
		return;
	buffer_put(&u->pending, data + n, size - n);
	if (u->pending.failed)
		refuse(u, 500, "OutOfMemory", "There is no memory for this request.");
}

static bool write_pending(struct upload *u)
{
	if (u->pending.size)
		buffer_drop_front(&u->pending, file_call_write(&u->call, u->pending.data, u->pending.size));
	return u->pending.size == 0;
}

/* ---- the body ---------------------------------------------------------------------------------------------------- */

static void take_event(struct upload *u, enum multipart_event event)
{
	char message[160];

	switch (event) {
	case MULTIPART_PART:
		begin_file(u);
		break;
	case MULTIPART_DATA:
		if (u->is_in_file)
			write_content(u, u->multipart.data, u->multipart.size);
		break;
	case MULTIPART_PART_END:
		u->is_in_file = false;
		break;
	case MULTIPART_INVALID:
		snprintf(message, sizeof(message), "The body is no multipart/form-data: %s.", u->multipart.problem);
		refuse(u, 400, "SessionRequestValidationFailed", message);
		break;
	default:
		break;
	}
}

static size_t on_body(struct http_request *r, const char *data, size_t size)
{
	struct upload *u = (struct upload *)r->owner;
	const char *from = data;

	if (!write_pending(u))
		return 0;
	while (size && u->pending.size == 0 && !u->call.is_closing) {
		size_t before = size;

		take_event(u, multipart_next(&u->multipart, &data, &size));
		u->n_body += before - size;
		if (u->n_body > u->file_size_max + OVERHEAD_MAX && !u->call.is_closing)
			refuse(u, 413, "FileTooLarge", "The body is larger than any file may be.");
	}
	return (size_t)(data - from);
}

static void on_drained(struct file_call *c)
{
	struct upload *u = upload_of(c);

	u->is_open = true;
	if (!write_pending(u))
		return;
	if (u->is_complete)
		file_call_commit(c);
	else
		http_body_resume(c->http);
}

void rest_upload_complete(struct http_request *r)
{
	struct upload *u = (struct upload *)r->owner;

	u->is_complete = true;
	if (!multipart_is_over(&u->multipart))
		refuse(u, 400, "SessionRequestValidationFailed", "The body ends before its last boundary.");
	else if (!u->has_file)
		refuse(u, 400, "SessionRequestValidationFailed",
		       "The body has no file: a part with a file name is needed.");
	else if (u->is_open && write_pending(u))
		file_call_commit(&u->call);
}

/* ---- start ------------------------------------------------------------------------------------------------------- */

/* False after an answer was given: the body is larger than any file may be. */
static bool check_length(struct http_request *r, uint64_t file_size_max)
{
	const char *text = http_request_header(r, "Content-Length");

	if (!text || strtoull(text, NULL, 10) <= r->body_max)
		return true;
	rest_error(r, 413, "FileTooLarge", "The file is larger than %llu MiB.",
		   (unsigned long long)file_size_max >> 20);
	return false;
}

static void begin(struct service *s, struct http_request *r, enum file_family family)
{
	struct pool *pool = rest_check_version(r) ? rest_pool(s, r) : NULL;
	const char *identifier = pool ? rest_identifier(r, NULL) : NULL;
	uint64_t file_size_max = pool ? file_call_size_max(s, pool) : s->file_size_max;
	struct upload *u;

	r->take = on_body;
	r->body_max = (size_t)file_size_max + OVERHEAD_MAX;
	if (!identifier || !check_length(r, file_size_max))
		return;
	u = calloc(1, sizeof(*u));
	if (!u) {
		rest_error(r, 500, "OutOfMemory", "There is no memory for this request.");
		return;
	}
	file_call_init(&u->call, s, r, family);
	u->call.drained = on_drained;
	u->call.destroy = destroy;
	u->identifier = identifier;
	u->file_size_max = file_size_max;
	multipart_init(&u->multipart, http_request_header(r, "Content-Type"));
}

void rest_upload_legacy(struct service *s, struct http_request *r)
{
	begin(s, r, FILE_LEGACY);
}

void rest_upload_new(struct service *s, struct http_request *r)
{
	begin(s, r, FILE_NEW);
}
