#include "api/proxy.h"

#include "api/http_fields.h"
#include "api/ingress_idle.h"
#include "api/microvm_directory.h"
#include "api/proxy_private.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
	RETRY_AFTER_S = 5,
	LOG_SIZE = 512,
};

/* ---- the end ----------------------------------------------------------------------------------------------------- */

static void on_closed(uv_handle_t *handle)
{
	struct proxy *p = handle->data;

	proxy_request_fini(&p->request);
	buffer_fini(&p->held);
	free(p);
}

void proxy_end(struct proxy *p)
{
	if (p->is_closing)
		return;
	p->is_closing = true;
	p->http = NULL;
	tunnel_end(p->tunnel);
	ingress_close(p->ingress);
	p->ingress = NULL;
	uv_close((uv_handle_t *)&p->timer, on_closed);
	/* Last, since it may begin what waited. */
	session_use_end(&p->use);
}

struct http_request *proxy_take_request(struct proxy *p)
{
	struct http_request *r = p->http;

	p->http = NULL;
	return r;
}

/* An answer that has begun can only be cut off. True if it was. */
static bool cut_off(struct proxy *p)
{
	if (p->is_switching)
		http_upgrade_end(proxy_take_request(p));
	else if (p->is_streaming)
		http_stream_abort(proxy_take_request(p));
	else
		http_clear_headers(p->http);
	return !p->http;
}

void proxy_fail(struct proxy *p, unsigned int status, const char *code, const char *format, ...)
{
	char message[1024];
	va_list args;

	va_start(args, format);
	vsnprintf(message, sizeof(message), format, args);
	va_end(args);
	if (!cut_off(p) && status == 503)
		rest_error_retry(proxy_take_request(p), status, code, RETRY_AFTER_S, message);
	else if (p->http)
		rest_error(proxy_take_request(p), status, code, "%s", message);
	proxy_end(p);
}

void proxy_fail_with_log(struct proxy *p, unsigned int status, const char *code, const char *message)
{
	char log[LOG_SIZE];
	size_t n = session_use_log(&p->use, log, sizeof(log));

	proxy_fail(p, status, code, "%s%s%.*s", message, n ? " The container wrote last: " : "", (int)n, log);
}

void proxy_fail_memory(struct proxy *p)
{
	proxy_fail(p, 500, "OutOfMemory", "There is no memory for this request.");
}

static void on_gone(struct http_request *r)
{
	struct proxy *p = r->owner;

	if (p->is_switching)
		http_upgrade_end(r);
	proxy_end(p);
}

/* ---- time -------------------------------------------------------------------------------------------------------- */

static void on_late_session(uv_timer_t *timer)
{
	proxy_fail(timer->data, 503, "SessionNotReady", "The session is being started, which takes long. Try again.");
}

static void on_late_answer(uv_timer_t *timer)
{
	struct proxy *p = timer->data;

	if (p->has_head)
		proxy_fail(p, 504, "ContainerTimedOut",
			   "The container answers and does not take the rest of the request: both at once cannot be "
			   "passed on beyond 256 KiB.");
	else
		proxy_fail_with_log(p, 504, "ContainerTimedOut",
				    "The container did not begin to answer in time (proxy-answer-timeout-seconds).");
}

static void expect_answer(struct proxy *p)
{
	uv_timer_start(&p->timer, on_late_answer, p->service->proxy_answer_timeout_ms, 0);
}

/* Part of the request went on: the time for the answer to begin is counted from here. */
static void note_progress(struct proxy *p)
{
	if (!p->is_closing && !p->is_streaming && !p->is_switching && p->is_open)
		expect_answer(p);
}

/* ---- what the container says ------------------------------------------------------------------------------------- */

static void connect_anew(struct proxy *p);

static void on_data(void *owner, const char *data, size_t size)
{
	proxy_answer_take(owner, data, size);
}

static void on_ended(void *owner, bool is_broken)
{
	struct proxy *p = owner;

	if (p->is_reused && !p->parser.has_begun && p->request.can_be_repeated) {
		connect_anew(p);
		return;
	}
	proxy_answer_ended(p, is_broken);
}

static void send_end(struct proxy *p)
{
	struct buffer end_of_body = { 0 };

	p->is_sent = true;
	if (p->request.is_chunked) {
		buffer_put_text(&end_of_body, "0\r\n");
		proxy_request_put_trailers(&end_of_body, p->http);
		if (end_of_body.failed || !ingress_write(p->ingress, end_of_body.data, end_of_body.size))
			proxy_fail_memory(p);
		buffer_fini(&end_of_body);
	}
	note_progress(p);
}

static void begin_request(struct proxy *p)
{
	p->is_open = true;
	response_parser_reset(&p->parser, p->request.is_to_head);
	if (!ingress_write(p->ingress, p->request.head.data, p->request.head.size)) {
		proxy_fail_memory(p);
		return;
	}
	note_progress(p);
	if (p->is_complete)
		send_end(p);
	else
		http_body_resume(p->http);
}

static void on_connected(void *owner)
{
	begin_request(owner);
}

static void on_refused(void *owner, int code, const char *reason)
{
	struct proxy *p = owner;

	if (code == ECONNREFUSED)
		proxy_fail_with_log(p, 502, "ContainerNotListening",
				    "Nothing listens on the target port in the session's container.");
	else
		proxy_fail(p, 502, "ContainerNotReachable", "The session's container cannot be reached: %s.", reason);
}

static void on_written(void *owner)
{
	struct proxy *p = owner;

	note_progress(p);
	if (p->http && !p->is_complete && ingress_backlog(p->ingress) < PROXY_BACKLOG_LOW)
		http_body_resume(p->http);
}

static const struct ingress_events events = {
	.connected = on_connected,
	.refused = on_refused,
	.data = on_data,
	.ended = on_ended,
	.written = on_written,
};

static void connect_anew(struct proxy *p)
{
	ingress_close(p->ingress);
	p->is_reused = p->is_open = false;
	p->ingress = ingress_open(p->service->loop, microvm_directory_of(p->microvm)->vsock, &events, p);
	/* The guest may take the connection and never say what became of it. */
	if (p->ingress)
		expect_answer(p);
	else
		proxy_fail_memory(p);
}

/* ---- what the client says ---------------------------------------------------------------------------------------- */

static bool send_chunk(struct proxy *p, const char *data, size_t size)
{
	char line[24];
	int n = snprintf(line, sizeof(line), "%zx\r\n", size);

	return ingress_write(p->ingress, line, (size_t)n) && ingress_write(p->ingress, data, size) &&
	       ingress_write(p->ingress, "\r\n", 2);
}

static size_t on_body(struct http_request *r, const char *data, size_t size)
{
	struct proxy *p = r->owner;

	if (!p->is_open || ingress_backlog(p->ingress) > PROXY_BACKLOG_HIGH)
		return 0;
	note_progress(p);
	if (p->request.is_chunked ? send_chunk(p, data, size) : ingress_write(p->ingress, data, size))
		return size;
	proxy_fail_memory(p);
	return 0;
}

void rest_proxy_complete(struct http_request *r)
{
	struct proxy *p = r->owner;

	p->is_complete = true;
	if (p->is_open)
		send_end(p);
	if (p->has_head && !p->is_closing)
		proxy_answer_begin(p);
}

/* ---- what the session says --------------------------------------------------------------------------------------- */

static struct proxy *proxy_of(struct session_use *u)
{
	return (struct proxy *)u; /* its first member */
}

static void on_session_ready(struct session_use *u, struct microvm *vm, const char *guid)
{
	struct proxy *p = proxy_of(u);

	(void)guid;
	uv_timer_stop(&p->timer);
	p->microvm = vm;
	/* One that was idle may be closed as the request comes: only what can be sent again is. */
	if (p->request.can_be_repeated)
		p->ingress = ingress_idle_take(u, &events, p);
	if (!p->ingress) {
		connect_anew(p);
		return;
	}
	p->is_reused = true;
	begin_request(p);
}

/* The pool may be gone by now. */
static void respond_session_error(struct proxy *p, const struct error *err)
{
	struct http_request *r = proxy_take_request(p);
	struct pool *pool = pools_find(p->service->pools, r->pool);

	if (pool)
		rest_session_error(r, pool_sessions(pool), err);
	else
		rest_error(r, 404, "ResourceNotFound", "The session pool was deleted.");
	proxy_end(p);
}

static void on_session_failed(struct session_use *u, const struct error *err)
{
	struct proxy *p = proxy_of(u);

	if (p->microvm && err->code == SESSIONS_NO_MICROVM)
		proxy_fail(p, 502, "SessionEnded", "The session ended: %.512s.", err->text);
	else if (cut_off(p))
		proxy_end(p);
	else
		respond_session_error(p, err);
}

/* ---- start ------------------------------------------------------------------------------------------------------- */

static void begin(struct service *s, struct http_request *r, struct pool *pool, const char *identifier, struct proxy *p)
{
	struct error err = { 0 };

	p->use.ready = on_session_ready;
	p->use.failed = on_session_failed;
	p->use.is_proxied = true;
	p->service = s;
	p->http = r;
	uv_timer_init(s->loop, &p->timer);
	p->timer.data = p;
	r->owner = p;
	r->gone = on_gone;
	r->drained = proxy_answer_drained;
	r->take = on_body;
	r->body_max = SIZE_MAX;
	uv_timer_start(&p->timer, on_late_session, s->proxy_start_timeout_ms, 0);
	if (sessions_use(pool_sessions(pool), identifier, &p->use, &err) < 0)
		respond_session_error(p, &err);
}

void rest_proxy(struct service *s, struct http_request *r)
{
	struct pool *pool = rest_pool(s, r);
	const char *identifier = NULL;
	struct error err = { 0 };
	struct proxy *p;

	/* Only the query's: the path is the container's. */
	r->path_identifier = NULL;
	if (pool && !url_parameter(&r->url, "identifier"))
		rest_error(r, 400, "SessionRequestValidationFailed",
			   "The query parameter 'identifier' is missing: it names the session, whose container has all "
			   "paths in a pool of containers but .management/...");
	else if (pool)
		identifier = rest_identifier(r, NULL);
	if (!identifier)
		return;
	p = calloc(1, sizeof(*p));
	if (!p) {
		rest_error(r, 500, "OutOfMemory", "There is no memory for this request.");
		return;
	}
	if (proxy_request_read(&p->request, r, &err) == 0) {
		begin(s, r, pool, identifier, p);
		return;
	}
	http_add_header(r, "Connection", "close");
	if (err.code == ENOMEM)
		rest_error(r, 500, "OutOfMemory", "%s", err.text);
	else
		rest_error(r, 400, "SessionRequestValidationFailed", "%s", err.text);
	proxy_request_fini(&p->request);
	free(p);
}
