/*
 * What the container of a session writes: plain text, or with `Accept: application/x-ndjson` an object a line, of which
 * the last one of a session that is over says how it ended.
 */
#include "api/container_log.h"
#include "api/json_text.h"
#include "api/rest.h"
#include "api/utf8.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum {
	LOOK_MS = 100,         /* between two looks for more */
	BACKLOG_MAX = 64 << 10 /* bytes that wait for the client, above which nothing is added */
};

struct follower {
	uv_timer_t timer;
	struct service *service;
	struct http_request *http;
	char pool[POOL_NAME_SIZE];
	char identifier[REST_IDENTIFIER_MAX + 1];
	char guid[GUID_SIZE];
	bool is_json;
	bool goes_on;
	struct container_log_reader reader;
	uint64_t n_missed; /* that it was told of */
	struct utf8_decoder decoders[2];
};

static void on_closed(uv_handle_t *handle)
{
	free(handle->data);
}

static void end(struct follower *f)
{
	f->http = NULL;
	uv_close((uv_handle_t *)&f->timer, on_closed);
}

static void on_gone(struct http_request *r)
{
	end(r->owner);
}

/* ---- one object a line ------------------------------------------------------------------------------------------- */

static void put_text(struct buffer *out, bool is_stderr, struct buffer *text)
{
	if (text->size) {
		buffer_put_format(out, "{\"stream\":\"%s\",\"text\":", is_stderr ? "stderr" : "stdout");
		json_put_string(out, text->data, text->size);
		buffer_put_text(out, "}\n");
	}
	buffer_fini(text);
}

static void put_piece(struct follower *f, struct buffer *out, const struct container_log_piece *piece)
{
	struct buffer text = { 0 };

	if (!f->is_json) {
		buffer_put(out, piece->text, piece->size);
		return;
	}
	utf8_decode(&f->decoders[piece->is_stderr], piece->text, piece->size, &text);
	put_text(out, piece->is_stderr, &text);
}

/* What is still incomplete stays so. */
static void put_rest(struct follower *f, struct buffer *out)
{
	for (int i = 0; i < 2 && f->is_json; i++) {
		struct buffer text = { 0 };

		utf8_decode_end(&f->decoders[i], &text);
		put_text(out, i == 1, &text);
	}
}

static void put_missed(struct follower *f, struct buffer *out, const struct container_log *log)
{
	uint64_t n = container_log_missed(log, &f->reader);

	if (f->is_json && n > f->n_missed)
		buffer_put_format(out, "{\"droppedBytes\":%llu}\n", (unsigned long long)(n - f->n_missed));
	f->n_missed = n;
}

static void put_end(struct follower *f, struct buffer *out, const struct session_container *c)
{
	if (!f->is_json)
		return;
	buffer_put_text(out, "{\"ended\":{\"reason\":");
	json_put_bytes(out, c->reason, strlen(c->reason));
	if (c->exit)
		buffer_put_format(out, ",\"exitCode\":%u,\"signal\":%u,\"ranInMicroseconds\":%llu", c->exit->status,
				  c->exit->signal, (unsigned long long)c->exit->ran_us);
	buffer_put_text(out, "}}\n");
}

/* ---- the stream -------------------------------------------------------------------------------------------------- */

/* Writes what is new. False when nothing more will come. */
static bool write_news(struct follower *f)
{
	struct pool *pool = pools_find(f->service->pools, f->pool);
	struct session_container c;
	struct container_log_piece piece;
	struct buffer out = { 0 };
	bool is_last;

	if (!pool || !sessions_container(pool_sessions(pool), f->identifier, f->guid, &c))
		return false;
	while (container_log_next(c.log, &f->reader, &piece)) {
		put_missed(f, &out, c.log);
		put_piece(f, &out, &piece);
	}
	put_missed(f, &out, c.log);
	is_last = !f->goes_on || c.is_over || f->service->is_stopping;
	if (is_last)
		put_rest(f, &out);
	if (c.is_over)
		put_end(f, &out, &c);
	if (out.size)
		http_stream_write(f->http, out.data, out.size);
	buffer_fini(&out);
	return !is_last;
}

static void look(struct follower *f)
{
	struct http_request *r = f->http;
	bool has_enough = http_stream_backlog(r) > BACKLOG_MAX && !f->service->is_stopping;

	if (has_enough || write_news(f))
		return;
	end(f);
	http_stream_end(r);
}

static void on_timer(uv_timer_t *timer)
{
	look(timer->data);
}

static void begin(struct service *s, struct http_request *r, struct follower *f)
{
	const char *accept = http_request_header(r, "Accept"), *follow = url_parameter(&r->url, "follow");

	f->is_json = accept && strcasestr(accept, "application/x-ndjson");
	f->goes_on = follow && strcasecmp(follow, "true") == 0;
	f->service = s;
	f->http = r;
	r->owner = f;
	r->gone = on_gone;
	uv_timer_init(s->loop, &f->timer);
	f->timer.data = f;
	http_stream_begin_live(r, 200, f->is_json ? "application/x-ndjson" : "text/plain; charset=utf-8");
	uv_timer_start(&f->timer, on_timer, LOOK_MS, LOOK_MS);
	look(f);
}

void rest_session_logs(struct service *s, struct http_request *r)
{
	struct pool *pool = rest_check_version(r) ? rest_pool(s, r) : NULL;
	const char *id = pool ? rest_identifier(r, NULL) : NULL;
	struct session_container c;
	struct follower *f;

	if (!id)
		return;
	if (!sessions_container(pool_sessions(pool), id, NULL, &c)) {
		rest_error(r, 404, "NoSessionFoundError",
			   "There is no session '%s' with a container, and there was none within the last hour.", id);
		return;
	}
	f = calloc(1, sizeof(*f));
	if (!f) {
		rest_error(r, 500, "OutOfMemory", "There is no memory for this request.");
		return;
	}
	snprintf(f->pool, sizeof(f->pool), "%s", pool_definition_of(pool)->name);
	snprintf(f->identifier, sizeof(f->identifier), "%s", id);
	memcpy(f->guid, c.guid, sizeof(f->guid));
	begin(s, r, f);
}
