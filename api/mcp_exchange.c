#include "api/mcp_exchange.h"

#include "api/event_stream.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
	KEEP_ALIVE_MS = 15000,
	BATCH_MAX = 64 << 20, /* bytes of answers, which wait for the last one */
};

/* ---- the end ----------------------------------------------------------------------------------------------------- */

static void on_timer_closed(uv_handle_t *handle)
{
	struct mcp_exchange *x = handle->data;

	json_decref(x->body);
	buffer_fini(&x->out);
	free(x);
}

static void destroy(struct mcp_exchange *x)
{
	struct mcp_exchange **link = &x->service->mcp_exchanges;

	while (*link != x)
		link = &(*link)->following;
	*link = x->following;
	x->http = NULL;
	uv_close((uv_handle_t *)&x->keep_alive, on_timer_closed);
}

static void send_event(struct mcp_exchange *x)
{
	static const char head[] = "event: message\ndata: ";

	http_stream_write(x->http, head, sizeof(head) - 1);
	http_stream_write(x->http, x->out.data, x->out.size);
	http_stream_write(x->http, "\n\n", 2);
}

static void finish(struct mcp_exchange *x)
{
	if (x->out.size && x->is_batch)
		buffer_put_text(&x->out, "]");
	if (x->out.failed && x->is_stream)
		http_stream_abort(x->http);
	else if (x->out.failed)
		rest_error(x->http, 500, "OutOfMemory", "There is no memory for the answer.");
	else if (x->is_stream) {
		send_event(x);
		http_stream_end(x->http);
	} else if (x->out.size)
		http_respond(x->http, x->status, REST_JSON, &x->out);
	else
		http_respond(x->http, 202, NULL, &x->out);
	destroy(x);
}

static void on_gone(struct http_request *r)
{
	struct mcp_exchange *x = r->owner;

	if (x->gone)
		x->gone(x->call);
	destroy(x);
}

/* ---- a message that takes long ----------------------------------------------------------------------------------- */

static void on_keep_alive(uv_timer_t *timer)
{
	static const char comment[] = ": keep-alive\n\n";
	struct mcp_exchange *x = timer->data;

	if (!x->is_stream)
		event_stream_begin(x->http, 200);
	x->is_stream = true;
	/* A client that does not read gets no heap of them. */
	if (http_stream_backlog(x->http) == 0)
		http_stream_write(x->http, comment, sizeof(comment) - 1);
}

/* ---- messages ---------------------------------------------------------------------------------------------------- */

static void handle(struct mcp_exchange *x, const json_t *json)
{
	struct json_rpc_message message;
	struct error err = { 0 };
	int rc = json_rpc_read(json, &message, &err);

	x->id = message.id;
	if (rc < 0) {
		if (!x->is_batch)
			x->status = 400;
		x->is_waiting = true;
		mcp_reply_error(x, JSON_RPC_INVALID_REQUEST, err.text, NULL);
	} else if (message.kind == JSON_RPC_REQUEST && x->out.size > BATCH_MAX) {
		x->is_waiting = true;
		mcp_reply_error(x, JSON_RPC_INVALID_REQUEST,
				"The batch has more than 64 MiB of answers already: ask for this in another one.",
				NULL);
	} else if (message.kind == JSON_RPC_REQUEST) {
		x->is_waiting = true;
		mcp_handle(x, &message);
	} else if (message.kind == JSON_RPC_NOTIFICATION) {
		mcp_notice(x, &message);
	}
}

/* In a loop, not by recursion, since most messages are answered from within. */
static void go_on(struct mcp_exchange *x)
{
	size_t n = x->is_batch ? json_array_size(x->body) : 1;

	if (x->is_looping)
		return;
	x->is_looping = true;
	while (!x->is_waiting && x->next < n) {
		const json_t *json = x->is_batch ? json_array_get(x->body, x->next) : x->body;

		x->next++;
		handle(x, json);
	}
	x->is_looping = false;
	if (!x->is_waiting)
		finish(x);
}

static void begin_reply(struct mcp_exchange *x)
{
	if (x->is_batch)
		buffer_put_text(&x->out, x->out.size ? "," : "[");
}

static void end_reply(struct mcp_exchange *x)
{
	x->is_waiting = false;
	x->call = NULL;
	x->gone = NULL;
	go_on(x);
}

void mcp_reply(struct mcp_exchange *x, struct buffer *result)
{
	if (result->failed) {
		buffer_fini(result);
		mcp_reply_error(x, JSON_RPC_INTERNAL_ERROR, "There is no memory for the answer.", NULL);
		return;
	}
	begin_reply(x);
	json_rpc_put_result(&x->out, x->id, result);
	buffer_fini(result);
	end_reply(x);
}

void mcp_reply_error(struct mcp_exchange *x, enum json_rpc_code code, const char *message, const char *data)
{
	begin_reply(x);
	json_rpc_put_error(&x->out, x->id, code, message, data);
	end_reply(x);
}

void mcp_exchange_cancel(const struct mcp_exchange *by, const json_t *id)
{
	struct mcp_exchange *x = by->session_id[0] ? by->service->mcp_exchanges : NULL;
	void (*gone)(void *call);

	while (x && !(x->gone && strcmp(x->pool, by->pool) == 0 && strcmp(x->session_id, by->session_id) == 0 &&
		      json_equal(x->id, id)))
		x = x->following;
	if (!x)
		return;
	gone = x->gone;
	x->gone = NULL;
	gone(x->call);
	mcp_reply_error(x, JSON_RPC_CANCELLED, "The request was cancelled.", NULL);
}

void mcp_exchange_start(struct service *s, struct pool *pool, struct http_request *r, json_t *body,
			const char *session_id)
{
	const char *accept = http_request_header(r, "Accept");
	struct mcp_exchange *x = calloc(1, sizeof(*x));

	if (!x) {
		json_decref(body);
		rest_error(r, 500, "OutOfMemory", "There is no memory for this request.");
		return;
	}
	x->service = s;
	x->http = r;
	x->body = body;
	x->is_batch = json_is_array(body);
	x->takes_stream = accept && strcasestr(accept, "text/event-stream");
	x->status = 200;
	snprintf(x->pool, sizeof(x->pool), "%s", pool_definition_of(pool)->name);
	snprintf(x->session_id, sizeof(x->session_id), "%s", session_id);
	uv_timer_init(s->loop, &x->keep_alive);
	x->keep_alive.data = x;
	if (x->takes_stream)
		uv_timer_start(&x->keep_alive, on_keep_alive, KEEP_ALIVE_MS, KEEP_ALIVE_MS);
	x->following = s->mcp_exchanges;
	s->mcp_exchanges = x;
	r->owner = x;
	r->gone = on_gone;
	r->drained = NULL;
	http_release_body(r);
	go_on(x);
}
