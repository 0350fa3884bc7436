#include "api/file_call.h"

#include "api/microvm_directory.h"
#include "common/file_piece.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
	BACKLOG_HIGH = 256 << 10, /* bytes of a download that the client has not taken */
	BACKLOG_LOW = 64 << 10,
	STALL_MS = 120000, /* without a sign of the guest or of the client */
};

/* ---- the end ----------------------------------------------------------------------------------------------------- */

static void on_closed(uv_handle_t *handle)
{
	struct file_call *c = handle->data;

	file_entries_fini(&c->entries);
	if (c->destroy)
		c->destroy(c);
	else
		free(c);
}

void file_call_end(struct file_call *c)
{
	if (c->is_closing)
		return;
	c->is_closing = true;
	c->http = NULL;
	agent_file_close(c->agent);
	c->agent = NULL;
	uv_close((uv_handle_t *)&c->stall, on_closed);
	/* Last, since it may begin what waited. */
	session_use_end(&c->use);
}

/* The request, which is not the call's any more. NULL if nobody waits. */
static struct http_request *take_request(struct file_call *c)
{
	struct http_request *r = c->http;

	c->http = NULL;
	return r;
}

/* Answers that it failed; the request is not the call's any more. */
static void respond_error(struct file_call *c, unsigned int status, const char *code, const char *format, ...)
	__attribute__((format(printf, 4, 5)));
static void respond_error(struct file_call *c, unsigned int status, const char *code, const char *format, ...)
{
	struct http_request *r = take_request(c);
	char message[1024];
	va_list args;

	va_start(args, format);
	vsnprintf(message, sizeof(message), format, args);
	va_end(args);
	if (c->answer)
		c->answer->failed(c, message);
	else
		rest_error(r, status, code, "%s", message);
}

/* An answer that has begun can only be cut off. True if it was, or if nobody waits. */
static bool cut_off(struct file_call *c)
{
	struct http_request *r = c->is_streaming ? take_request(c) : NULL;

	if (r)
		http_stream_abort(r);
	return !c->http;
}

static void on_gone(struct http_request *r)
{
	struct file_call *c = r->owner;

	file_call_end(c);
}

/* ---- errors ------------------------------------------------------------------------------------------------------ */

static void respond_status(struct file_call *c, enum agent_file_status status, const char *sentence)
{
	const char *path = c->path[0] ? c->path : ".";

	switch (status) {
	case AGENT_FILE_NOT_FOUND:
		respond_error(c, 404, "FileNotFound", "There is no file '%.512s'.", path);
		break;
	case AGENT_FILE_INVALID:
		respond_error(c, 400, "FilePathInvalid", "'%.512s' is no file of the session.", path);
		break;
	case AGENT_FILE_IS_FOLDER:
		respond_error(c, 409, "FileIsDirectory", "'%.512s' is a directory.", path);
		break;
	case AGENT_FILE_NOT_FOLDER:
		respond_error(c, 409, "FileIsNoDirectory", "'%.512s', or something on the way there, is no directory.",
			      path);
		break;
	case AGENT_FILE_TOO_LARGE:
		respond_error(c, 413, "FileTooLarge", "The file is larger than %llu MiB.",
			      (unsigned long long)c->order.size_max >> 20);
		break;
	case AGENT_FILE_NO_SPACE:
		respond_error(c, 507, "InsufficientStorage", "The session's disk is full.");
		break;
	default:
		respond_error(c, 500, "FileOperationFailed", "The session could not do that with '%.512s': %.128s",
			      path, rest_is_printable(sentence) ? sentence : "it does not say why");
	}
}

static void fail(struct file_call *c, unsigned int status, const char *code, const char *message)
{
	if (!cut_off(c))
		respond_error(c, status, code, "%s", message);
	file_call_end(c);
}

static void on_stall(uv_timer_t *timer)
{
	fail(timer->data, 504, "FileOperationTimedOut", "Nothing moved for too long.");
}

static void note_progress(struct file_call *c)
{
	if (!c->is_closing)
		uv_timer_start(&c->stall, on_stall, STALL_MS, 0);
}

/* ---- what the agent says ----------------------------------------------------------------------------------------- */

/* Answers with the part of the file that was asked for, if there is any. */
static void begin_part(struct file_call *c, uint64_t size)
{
	uint64_t start, n = file_piece(size, c->order.offset, c->order.length, &start);
	char content_range[80];

	if (n) {
		snprintf(content_range, sizeof(content_range), "bytes %llu-%llu/%llu", (unsigned long long)start,
			 (unsigned long long)(start + n - 1), (unsigned long long)size);
		http_add_header(c->http, "Content-Range", content_range);
		c->is_streaming = true;
		http_stream_begin_sized(c->http, 206, "application/octet-stream", n);
		return;
	}
	snprintf(content_range, sizeof(content_range), "bytes */%llu", (unsigned long long)size);
	http_add_header(c->http, "Content-Range", content_range);
	respond_error(c, 416, "RangeNotSatisfiable", "The file has %llu bytes, and none in the range asked for.",
		      (unsigned long long)size);
	file_call_end(c);
}

static void begin_download(struct file_call *c, uint64_t size)
{
	bool is_head = !c->answer && strcmp(c->http->method, "HEAD") == 0;

	if (c->answer) {
		c->answer->begun(c, size);
		return;
	}
	http_add_header(c->http, "Accept-Ranges", "bytes");
	if (c->order.is_part && !is_head) {
		begin_part(c, size);
		return;
	}
	c->is_streaming = true;
	http_stream_begin_sized(c->http, 200, "application/octet-stream", size);
	/* Of HEAD nothing but the headers is wanted. */
	if (is_head) {
		http_stream_end(take_request(c));
		file_call_end(c);
	}
}

static void on_info(void *owner, const struct agent_file_info *info)
{
	struct file_call *c = owner;

	note_progress(c);
	if (c->order.type == AGENT_FILE_READ)
		begin_download(c, info->size);
	else if (!file_entries_add(&c->entries, info))
		fail(c, 500, "OutOfMemory", "There is no memory for the answer.");
}

static void on_data(void *owner, const uint8_t *data, size_t size)
{
	struct file_call *c = owner;

	note_progress(c);
	if (c->answer) {
		c->answer->data(c, data, size);
		return;
	}
	http_stream_write(c->http, data, size);
	if (http_stream_backlog(c->http) > BACKLOG_HIGH)
		agent_file_pause(c->agent, true);
}

static void on_http_drained(struct http_request *r)
{
	struct file_call *c = r->owner;

	note_progress(c);
	if (c->agent && http_stream_backlog(r) < BACKLOG_LOW)
		agent_file_pause(c->agent, false);
}

static void on_agent_drained(void *owner)
{
	struct file_call *c = owner;

	note_progress(c);
	if (c->drained)
		c->drained(c);
}

static void respond_json(struct file_call *c, struct buffer *json)
{
	struct http_request *r = take_request(c);

	buffer_put_text(json, "\n");
	http_respond(r, 200, REST_JSON, json);
}

static void respond(struct file_call *c)
{
	bool is_upload = c->order.type == AGENT_FILE_WRITE;
	struct buffer json = { 0 };

	if (c->answer) {
		take_request(c);
		c->answer->done(c);
		return;
	}
	if (c->order.type == AGENT_FILE_DELETE) {
		http_respond(take_request(c), 204, NULL, &json);
		return;
	}
	if (c->entries.is_cut)
		http_add_header(c->http, "x-hearth-truncated", "true");
	/* The legacy family answers an upload with a list of one. */
	if (c->order.type == AGENT_FILE_LIST || (is_upload && c->family == FILE_LEGACY))
		file_answer_put_list(&json, c->family, &c->entries);
	else
		file_answer_put_entry(&json, c->family, &c->entries.list[0]);
	respond_json(c, &json);
}

static void on_done(void *owner, enum agent_file_status status, const char *sentence)
{
	struct file_call *c = owner;
	bool is_well = status == AGENT_FILE_OK || status == AGENT_FILE_CUT;

	c->entries.is_cut |= status == AGENT_FILE_CUT;
	if (is_well && c->is_streaming)
		http_stream_end(take_request(c));
	else if (is_well)
		respond(c);
	else if (!cut_off(c))
		respond_status(c, status, sentence);
	file_call_end(c);
}

/* An agent that lies about files is not to be believed about executions. */
static void on_failed(void *owner, const char *reason, bool broke_protocol)
{
	struct file_call *c = owner;
	struct microvm *vm = c->microvm;

	fail(c, 500, "FileOperationFailed", reason);
	if (broke_protocol)
		microvm_lose(vm, reason);
}

static const struct agent_file_events events = {
	.info = on_info,
	.data = on_data,
	.drained = on_agent_drained,
	.done = on_done,
	.failed = on_failed,
};

/* ---- what the session says --------------------------------------------------------------------------------------- */

static struct file_call *call_of(struct session_use *u)
{
	return (struct file_call *)u; /* its first member */
}

static void on_session_ready(struct session_use *u, struct microvm *vm, const char *guid)
{
	struct file_call *c = call_of(u);
	int rc;

	if (!c->answer)
		http_add_header(c->http, "x-ms-session-guid", guid);
	c->agent = agent_file_begin(c->service->loop, microvm_directory_of(vm)->vsock, &c->order, &events, c, &rc);
	c->microvm = vm;
	if (c->agent)
		note_progress(c);
	else
		fail(c, 500, "FileOperationFailed", strerror(-rc));
}

/* The pool may be gone by now. */
static void respond_session_error(struct file_call *c, const struct error *err)
{
	struct http_request *r = take_request(c);
	struct pool *pool = pools_find(c->service->pools, r->pool);

	if (c->answer)
		c->answer->failed(c, err->text);
	else if (pool)
		rest_session_error(r, pool_sessions(pool), err);
	else
		rest_error(r, 404, "ResourceNotFound", "The session pool was deleted.");
}

static void on_session_failed(struct session_use *u, const struct error *err)
{
	struct file_call *c = call_of(u);

	if (c->agent && err->code == SESSIONS_NO_MICROVM) {
		fail(c, 500, "FileOperationFailed", err->text); /* the session was there, and ended */
		return;
	}
	if (!cut_off(c))
		respond_session_error(c, err);
	file_call_end(c);
}

/* ---- start ------------------------------------------------------------------------------------------------------- */

void file_call_init(struct file_call *c, struct service *s, struct http_request *r, enum file_family family)
{
	c->use.ready = on_session_ready;
	c->use.failed = on_session_failed;
	c->service = s;
	c->http = r;
	c->family = family;
	uv_timer_init(s->loop, &c->stall);
	c->stall.data = c;
	if (c->answer)
		return;
	r->owner = c;
	r->gone = on_gone;
	r->drained = on_http_drained;
}

void file_call_begin(struct file_call *c, struct pool *pool, const char *identifier)
{
	struct error err = { 0 };

	c->order.path = c->path;
	if (sessions_use(pool_sessions(pool), identifier, &c->use, &err) == 0)
		return;
	respond_session_error(c, &err);
	file_call_end(c);
}

uint64_t file_call_size_max(const struct service *s, const struct pool *pool)
{
	uint32_t mib = pool_definition_of(pool)->max_file_mib;

	return mib ? (uint64_t)mib << 20 : s->file_size_max;
}

void file_call_start(struct service *s, struct pool *pool, struct http_request *r, const char *identifier,
		     enum file_family family, const struct agent_file_order *order)
{
	struct file_call *c = calloc(1, sizeof(*c));

	if (!c) {
		rest_error(r, 500, "OutOfMemory", "There is no memory for this request.");
		return;
	}
	file_call_init(c, s, r, family);
	c->order = *order;
	snprintf(c->path, sizeof(c->path), "%s", order->path);
	file_call_begin(c, pool, identifier);
}

size_t file_call_write(struct file_call *c, const void *data, size_t size)
{
	note_progress(c);
	return c->agent ? agent_file_write(c->agent, data, size) : 0;
}

void file_call_commit(struct file_call *c)
{
	agent_file_commit(c->agent);
}
