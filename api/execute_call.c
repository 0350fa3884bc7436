#include "api/execute_call.h"

#include "api/event_stream.h"
#include "api/execute_headers.h"
#include "api/json_text.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
	BACKLOG_HIGH = 256 << 10, /* bytes that wait for the client, above which the code is held up */
	BACKLOG_LOW = 64 << 10,
};

struct execute_call {
	struct execution execution;
	struct http_request *http; /* NULL once answered, or when the client is gone */
	struct execute_call_form form;
	struct execute_answer answer;
	bool has_begun; /* the stream */
	bool is_over;   /* the execution */
	uv_timer_t keep_alive;
};

static void on_timer_closed(uv_handle_t *handle)
{
	struct execute_call *c = handle->data;

	execute_answer_fini(&c->answer);
	free(c->execution.code);
	free(c);
}

static void destroy(struct execute_call *c)
{
	uv_close((uv_handle_t *)&c->keep_alive, on_timer_closed);
}

/* ---- Server-Sent Events ------------------------------------------------------------------------------------------ */

static void begin_stream(struct execute_call *c)
{
	if (c->has_begun)
		return;
	c->has_begun = true;
	execute_headers_add(c->http, &c->execution.start, NULL);
	event_stream_begin(c->http, c->form.status);
}

static void on_keep_alive(uv_timer_t *timer)
{
	struct execute_call *c = timer->data;

	begin_stream(c);
	event_stream_keep_alive(c->http);
}

static void send_event(struct execute_call *c, const char *name, const struct buffer *json)
{
	begin_stream(c);
	event_stream_send(c->http, name, json);
	if (!c->is_over && http_stream_backlog(c->http) > BACKLOG_HIGH)
		execution_pause(&c->execution, true);
}

static void send_news(struct execute_call *c, enum agent_frame_type stream)
{
	struct execute_piece piece = execute_answer_news(&c->answer, stream);
	struct buffer json = { 0 };

	if (piece.size == 0)
		return;
	buffer_put_text(&json, "{\"text\":");
	json_put_string(&json, piece.text, piece.size);
	buffer_put_text(&json, "}");
	send_event(c, stream == AGENT_STDERR ? "stderr" : "stdout", &json);
	buffer_fini(&json);
}

static void on_drained(struct http_request *r)
{
	struct execute_call *c = r->owner;

	if (http_stream_backlog(r) < BACKLOG_LOW)
		execution_pause(&c->execution, false);
}

static void finish_stream(struct execute_call *c, const struct execution_report *report)
{
	struct buffer json = { 0 };

	send_news(c, AGENT_STDOUT);
	send_news(c, AGENT_STDERR);
	execute_answer_put(&c->answer, report, &json);
	if (json.failed) {
		buffer_fini(&json);
		rest_put_error(&json, "OutOfMemory", "There is no memory for the answer.");
		send_event(c, "error", &json);
	} else {
		send_event(c, "done", &json);
	}
	buffer_fini(&json);
	http_stream_end(c->http);
}

/* ---- errors ------------------------------------------------------------------------------------------------------ */

static void respond_error(struct execute_call *c, unsigned int status, const char *code, const char *message)
{
	struct buffer json = { 0 };

	if (!c->has_begun) {
		if (status == 503)
			rest_error_retry(c->http, status, code, 10, message);
		else
			rest_error(c->http, status, code, "%s", message);
		return;
	}
	rest_put_error(&json, code, message);
	send_event(c, "error", &json);
	buffer_fini(&json);
	http_stream_end(c->http);
}

/* ---- the execution's events -------------------------------------------------------------------------------------- */

static struct execute_call *call_of(struct execution *e)
{
	return (struct execute_call *)e; /* its first member */
}

static void on_started(struct execution *e)
{
	struct execute_call *c = call_of(e);

	if (c->form.as_events)
		begin_stream(c);
}

static void on_output(struct execution *e, enum agent_frame_type stream, const uint8_t *data, size_t size)
{
	struct execute_call *c = call_of(e);

	execute_answer_output(&c->answer, stream, data, size);
	if (c->form.as_events)
		send_news(c, stream);
}

static void on_display(struct execution *e, const struct mime_bundle *bundle, bool is_result)
{
	struct execute_call *c = call_of(e);
	struct buffer json = { 0 };
	const char *word = execute_answer_display(&c->answer, bundle, is_result, c->form.as_events ? &json : NULL);

	if (word && c->form.as_events)
		send_event(c, word, &json);
	buffer_fini(&json);
}

static void respond(struct execute_call *c, const struct execution_report *report)
{
	struct buffer json = { 0 };

	execute_headers_add(c->http, &c->execution.start, report);
	execute_answer_put(&c->answer, report, &json);
	buffer_put_text(&json, "\n");
	http_respond(c->http, c->form.status, REST_JSON, &json);
}

static void on_finished(struct execution *e, const struct execution_report *report)
{
	struct execute_call *c = call_of(e);
	char message[AGENT_SENTENCE_MAX];

	c->is_over = true;
	uv_timer_stop(&c->keep_alive);
	if (!c->http) {
		/* The client is gone. */
	} else if (report->end == EXECUTION_NOT_STARTED) {
		snprintf(message, sizeof(message), "The session could not be started: %s", report->sentence);
		respond_error(c, 500, "SessionAllocationFailed", message);
	} else if (report->end == EXECUTION_STOPPING) {
		respond_error(c, 503, "ServiceStopping", "The service is stopping.");
	} else {
		execute_answer_finish(&c->answer, report);
		if (c->form.as_events)
			finish_stream(c, report);
		else
			respond(c, report);
	}
	c->http = NULL;
	destroy(c);
}

static const struct execution_events execution_events = {
	.started = on_started,
	.output = on_output,
	.display = on_display,
	.finished = on_finished,
};

/* The client hung up. */
static void on_gone(struct http_request *r)
{
	struct execute_call *c = r->owner;

	c->http = NULL;
	uv_timer_stop(&c->keep_alive);
	if (execution_cancel(&c->execution))
		destroy(c);
}

/* ---- start ------------------------------------------------------------------------------------------------------- */

void execute_call_start(struct service *service, struct pool *pool, struct http_request *r,
			const struct execute_call_form *form, const char *identifier, struct execute_request *request)
{
	struct execute_call *c = calloc(1, sizeof(*c));
	struct error err = { 0 };

	if (!c) {
		rest_error(r, 500, "OutOfMemory", "There is no memory for this request.");
		return;
	}
	c->http = r;
	c->form = *form;
	execute_setup(service, pool, form, identifier, request, &c->execution, &c->answer);
	c->execution.events = &execution_events;
	uv_timer_init(service->loop, &c->keep_alive);
	c->keep_alive.data = c;
	if (sessions_execute(pool_sessions(pool), identifier, &c->execution, &err) < 0) {
		execute_refuse(r, pool, &err);
		destroy(c);
		return;
	}
	r->owner = c;
	r->gone = on_gone;
	r->drained = on_drained;
	http_release_body(r);
	if (form->as_events)
		uv_timer_start(&c->keep_alive, on_keep_alive, EVENT_STREAM_KEEP_ALIVE_MS, EVENT_STREAM_KEEP_ALIVE_MS);
}
