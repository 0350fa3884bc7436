#include "api/proxy.h"

#include "api/http_fields.h"
#include "api/ingress_idle.h"
#include "api/microvm_directory.h"
#include "api/proxy_request.h"
#include "api/proxy_tunnel.h"
#include "api/response_parser.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum {
	BACKLOG_HIGH = 256 << 10, /* bytes on their way to a side that does not take them */
	BACKLOG_LOW = 64 << 10,
	HELD_MAX = 256 << 10, /* bytes of an answer that began before the request was over */
	STALL_MS = 120000,    /* without a sign of the client, while its answer waits for it */
	RETRY_AFTER_S = 5,
	LOG_SIZE = 512,
};

struct proxy {
	struct session_use use;
	struct service *service;
	struct http_request *http; /* NULL once it was answered, or its client went */
	struct proxy_request request;
	struct microvm *microvm; /* while the use is active */
	struct ingress *ingress;
	struct tunnel *tunnel;
	uv_timer_t timer;
	bool is_open;      /* the container takes the request */
	bool is_reused;    /* over a connection that was idle */
	bool is_complete;  /* the client has sent all of it, and … */
	bool is_sent;      /* … it was passed on */
	bool has_head;     /* of the answer */
	bool is_streaming; /* the answer has begun to go to the client */
	bool is_switching; /* it is 101 */
	bool is_closing;
	unsigned int status;
	uint64_t length;
	struct buffer held; /* what came of the answer before it could go to the client */
	struct response_parser parser;
};

/* ---- the end ----------------------------------------------------------------------------------------------------- */

static void on_closed(uv_handle_t *handle)
{
	struct proxy *p = handle->data;

	proxy_request_fini(&p->request);
	buffer_fini(&p->held);
	free(p);
}

static void end(struct proxy *p)
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

/* The request, which is not the proxy's any more. */
static struct http_request *take_request(struct proxy *p)
{
	struct http_request *r = p->http;

	p->http = NULL;
	return r;
}

/* An answer that has begun can only be cut off. True if it was. */
static bool cut_off(struct proxy *p)
{
	if (p->is_switching)
		http_upgrade_end(take_request(p));
	else if (p->is_streaming)
		http_stream_abort(take_request(p));
	else
		http_clear_headers(p->http);
	return !p->http;
}

/* Ends with an answer of ours, or cuts off the container's. */
static void fail(struct proxy *p, unsigned int status, const char *code, const char *format, ...)
	__attribute__((format(printf, 4, 5)));
static void fail(struct proxy *p, unsigned int status, const char *code, const char *format, ...)
{
	char message[1024];
	va_list args;

	va_start(args, format);
	vsnprintf(message, sizeof(message), format, args);
	va_end(args);
	if (!cut_off(p) && status == 503)
		rest_error_retry(take_request(p), status, code, RETRY_AFTER_S, message);
	else if (p->http)
		rest_error(take_request(p), status, code, "%s", message);
	end(p);
}

/* Likewise, with what the container wrote last, which may say why. */
static void fail_with_log(struct proxy *p, unsigned int status, const char *code, const char *message)
{
	char log[LOG_SIZE];
	size_t n = session_use_log(&p->use, log, sizeof(log));

	fail(p, status, code, "%s%s%.*s", message, n ? " The container wrote last: " : "", (int)n, log);
}

static void fail_memory(struct proxy *p)
{
	fail(p, 500, "OutOfMemory", "There is no memory for this request.");
}

static void on_gone(struct http_request *r)
{
	struct proxy *p = r->owner;

	if (p->is_switching)
		http_upgrade_end(r);
	end(p);
}

/* ---- time -------------------------------------------------------------------------------------------------------- */

static void on_late_session(uv_timer_t *timer)
{
	fail(timer->data, 503, "SessionNotReady", "The session is being started, which takes long. Try again.");
}

static void on_late_answer(uv_timer_t *timer)
{
	struct proxy *p = timer->data;

	if (p->has_head)
		fail(p, 504, "ContainerTimedOut",
		     "The container answers and does not take the rest of the request: both at once cannot be passed "
		     "on beyond 256 KiB.");
	else
		fail_with_log(p, 504, "ContainerTimedOut",
			      "The container did not begin to answer in time (proxy-answer-timeout-seconds).");
}

static void on_stall(uv_timer_t *timer)
{
	fail(timer->data, 504, "ContainerTimedOut", "Nothing moved for too long.");
}

/* Part of the request went on: the time for the answer to begin is counted from here. */
static void note_progress(struct proxy *p)
{
	if (!p->is_closing && !p->is_streaming && !p->is_switching && p->is_open)
		uv_timer_start(&p->timer, on_late_answer, p->service->proxy_answer_timeout_ms, 0);
}

/* ---- the answer -------------------------------------------------------------------------------------------------- */

static void add_header(struct http_request *r, const char *name, const char *text,
		       void (*add)(struct http_request *r, const char *name, const char *value))
{
	char *value = strdup(text), *tab = value;

	/* The library drops a header with a tab in its value. */
	while (tab && (tab = strchr(tab, '\t')))
		*tab = ' ';
	if (value)
		add(r, name, value);
	free(value);
}

static void add_headers(struct proxy *p, void (*add)(struct http_request *r, const char *name, const char *value))
{
	struct buffer connection = { 0 };

	for (size_t i = 0; i < p->parser.n_headers; i++) {
		if (strcasecmp(p->parser.headers[i].name, "Connection") != 0)
			continue;
		buffer_put_text(&connection, p->parser.headers[i].value);
		buffer_put_text(&connection, ",");
	}
	buffer_put(&connection, "", 1);
	for (size_t i = 0; connection.data && i < p->parser.n_headers; i++)
		if (proxy_passes_header(p->parser.headers[i].name, connection.data))
			add_header(p->http, p->parser.headers[i].name, p->parser.headers[i].value, add);
	buffer_fini(&connection);
}

static void note_backlog(struct proxy *p)
{
	if (http_stream_backlog(p->http) <= BACKLOG_HIGH)
		return;
	ingress_pause(p->ingress, true);
	uv_timer_start(&p->timer, on_stall, STALL_MS, STALL_MS);
}

static void begin_answer(struct proxy *p)
{
	bool is_empty = !p->request.is_to_head && (p->status == 204 || p->status == 304);

	p->is_streaming = true;
	uv_timer_stop(&p->timer);
	http_stream_begin_sized(p->http, p->status, NULL, is_empty ? 0 : p->length);
	if (p->held.size)
		http_stream_write(p->http, p->held.data, p->held.size);
	buffer_fini(&p->held);
	ingress_pause(p->ingress, false);
	note_backlog(p);
}

static void on_upgraded(struct http_request *r, int fd, const char *sent, size_t n_sent);

/* 101: only to what the client has offered. */
static void switch_protocols(struct proxy *p, const char *data, size_t size)
{
	const char *upgrade = response_header(&p->parser, "Upgrade");

	if (!p->request.upgrade || !upgrade || !http_list_has(p->request.upgrade, upgrade)) {
		fail(p, 502, "ContainerAnswerInvalid",
		     "The container switches to a protocol that it was not asked for.");
		return;
	}
	add_headers(p, http_add_header);
	http_add_header(p->http, "Upgrade", upgrade);
	buffer_put(&p->held, data, size);
	ingress_pause(p->ingress, true);
	uv_timer_stop(&p->timer);
	p->is_switching = true;
	http_upgrade(p->http, on_upgraded);
}

/*
 * The library answers when the request is complete, and not before. What comes earlier is held; a whole answer ends the
 * request, whose rest is not passed on.
 */
static void take_head(struct proxy *p)
{
	p->has_head = true;
	p->status = p->parser.status;
	p->length = p->parser.length;
	add_headers(p, http_add_header);
	if (p->is_complete)
		begin_answer(p);
}

static void take_data(struct proxy *p)
{
	if (p->is_streaming) {
		http_stream_write(p->http, p->parser.data, p->parser.n_data);
		note_backlog(p);
		return;
	}
	buffer_put(&p->held, p->parser.data, p->parser.n_data);
	if (p->held.failed)
		fail_memory(p);
	else if (p->held.size > HELD_MAX)
		ingress_pause(p->ingress, true);
}

/* `is_clean`: nothing came behind it, and the connection is open. */
static void take_end(struct proxy *p, bool is_clean)
{
	if (!p->is_streaming)
		begin_answer(p);
	add_headers(p, http_add_trailer);
	http_stream_end(take_request(p));
	if (is_clean && p->is_sent && p->parser.is_kept_alive && ingress_backlog(p->ingress) == 0) {
		ingress_idle_put(p->service->loop, &p->use, p->ingress);
		p->ingress = NULL;
	}
	end(p);
}

static void refuse_answer(struct proxy *p)
{
	char message[256];

	snprintf(message, sizeof(message), "The container's answer %s.", p->parser.problem);
	fail_with_log(p, 502, "ContainerAnswerInvalid", message);
}

/* ---- what the container says ------------------------------------------------------------------------------------- */

static void on_data(void *owner, const char *data, size_t size)
{
	struct proxy *p = owner;

	while (!p->is_closing) {
		switch (response_parser_next(&p->parser, &data, &size)) {
		case RESPONSE_MORE:
			return;
		case RESPONSE_HEAD:
			if (p->parser.status == 101) {
				switch_protocols(p, data, size);
				return;
			}
			take_head(p);
			break;
		case RESPONSE_DATA:
			take_data(p);
			break;
		case RESPONSE_END:
			take_end(p, size == 0);
			return;
		case RESPONSE_INVALID:
			refuse_answer(p);
			return;
		}
	}
}

static void connect_anew(struct proxy *p);

static void on_ended(void *owner, bool is_broken)
{
	struct proxy *p = owner;

	if (p->is_reused && !p->parser.has_begun && p->request.can_be_repeated) {
		connect_anew(p);
		return;
	}
	/* What is read up to the close is complete only if that was one. */
	if (is_broken) {
		p->parser.problem = "ends before it is complete";
		refuse_answer(p);
	} else if (response_parser_close(&p->parser) == RESPONSE_END) {
		take_end(p, false);
	} else {
		refuse_answer(p);
	}
}

static void send_end(struct proxy *p)
{
	struct buffer end_of_body = { 0 };

	p->is_sent = true;
	if (p->request.is_chunked) {
		buffer_put_text(&end_of_body, "0\r\n");
		proxy_request_put_trailers(&end_of_body, p->http);
		if (end_of_body.failed || !ingress_write(p->ingress, end_of_body.data, end_of_body.size))
			fail_memory(p);
		buffer_fini(&end_of_body);
	}
	note_progress(p);
}

static void begin_request(struct proxy *p)
{
	p->is_open = true;
	response_parser_reset(&p->parser, p->request.is_to_head);
	if (!ingress_write(p->ingress, p->request.head.data, p->request.head.size)) {
		fail_memory(p);
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
		fail_with_log(p, 502, "ContainerNotListening",
			      "Nothing listens on the target port in the session's container.");
	else
		fail(p, 502, "ContainerNotReachable", "The session's container cannot be reached: %s.", reason);
}

static void on_written(void *owner)
{
	struct proxy *p = owner;

	note_progress(p);
	if (p->http && !p->is_complete && ingress_backlog(p->ingress) < BACKLOG_LOW)
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
	if (!p->ingress)
		fail_memory(p);
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

	if (!p->is_open || ingress_backlog(p->ingress) > BACKLOG_HIGH)
		return 0;
	note_progress(p);
	if (p->request.is_chunked ? send_chunk(p, data, size) : ingress_write(p->ingress, data, size))
		return size;
	fail_memory(p);
	return 0;
}

void rest_proxy_complete(struct http_request *r)
{
	struct proxy *p = r->owner;

	p->is_complete = true;
	if (p->is_open)
		send_end(p);
	if (p->has_head && !p->is_closing)
		begin_answer(p);
}

static void on_drained(struct http_request *r)
{
	struct proxy *p = r->owner;

	if (http_stream_backlog(r) >= BACKLOG_LOW) {
		if (uv_is_active((uv_handle_t *)&p->timer))
			uv_timer_again(&p->timer);
		return;
	}
	uv_timer_stop(&p->timer);
	ingress_pause(p->ingress, false);
}

static void on_tunnel_over(void *owner)
{
	struct proxy *p = owner;

	p->tunnel = NULL;
	http_upgrade_end(take_request(p));
	end(p);
}

static void on_upgraded(struct http_request *r, int fd, const char *sent, size_t n_sent)
{
	struct proxy *p = r->owner;
	struct buffer held = p->held;

	p->held = (struct buffer) { 0 };
	p->tunnel = tunnel_start(p->service->loop, p->ingress, fd, on_tunnel_over, p);
	if (p->tunnel) {
		struct tunnel *t = p->tunnel;

		p->ingress = NULL;
		tunnel_send_client(t, held.data, held.size);
		tunnel_send_container(t, sent, n_sent);
	} else {
		close(fd);
		on_tunnel_over(p);
	}
	buffer_fini(&held);
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
	struct http_request *r = take_request(p);
	struct pool *pool = pools_find(p->service->pools, r->pool);

	if (pool)
		rest_session_error(r, pool_sessions(pool), err);
	else
		rest_error(r, 404, "ResourceNotFound", "The session pool was deleted.");
	end(p);
}

static void on_session_failed(struct session_use *u, const struct error *err)
{
	struct proxy *p = proxy_of(u);

	if (p->microvm && err->code == SESSIONS_NO_MICROVM)
		fail(p, 502, "SessionEnded", "The session ended: %.512s.", err->text);
	else if (cut_off(p))
		end(p);
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
	r->drained = on_drained;
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
	if (pool)
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
