/* Where the library's calls arrive: connections, headers, bodies, the end of a request. http_answer.c has the other half. */
#include "api/http_exchange.h"

#include "api/http_listener.h"
#include "common/cleanup.h"
#include "common/log.h"

#include <errno.h>
#include <microhttpd.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* In GnuTLS's words. */
#define TLS_PRIORITIES "NORMAL:-VERS-ALL:+VERS-TLS1.3:+VERS-TLS1.2:%SERVER_PRECEDENCE"

enum {
	FRUITLESS_MAX = 100, /* runs of the library */
	FRUITLESS_WAIT_MS = 10,
	CONNECTION_MEMORY = 64 << 10, /* the library's pool for each: headers, and one block of a body */
	DISCARD_MAX = 1 << 20,        /* a body that is not wanted is read up to this size, to keep the connection */
	DISCARD_PIECES_MAX =
		1 << 30, /* likewise, one that comes in pieces: many clients see no answer before its end */
};

/* ---- the loop ---------------------------------------------------------------------------------------------------- */

static void run(struct http_server *s);

static void on_timer(uv_timer_t *timer)
{
	run(timer->data);
}

static void on_soon(uv_idle_t *soon)
{
	run(soon->data);
}

static void on_poll(uv_poll_t *poll, int status, int events)
{
	(void)status;
	(void)events;
	run(poll->data);
}

/*
 * The library wants to run again at once as long as it has bytes that it cannot use, such as the start of a chunk's first
 * line that is longer than all of its memory: until the connection has been idle for too long, others need the processor.
 */
static unsigned int wait_before_next(const struct http_server *s)
{
	return s->n_fruitless > FRUITLESS_MAX ? FRUITLESS_WAIT_MS : 0;
}

/* Not with a timer of 0 ms: libuv would call one that begins anew in its own callback for ever, and nothing else. */
static void run(struct http_server *s)
{
	unsigned int n_calls = s->n_calls;
	MHD_UNSIGNED_LONG_LONG timeout_ms;
	bool has_timeout;

	if (s->n_must_run)
		s->n_must_run--;
	MHD_run(s->daemon);
	s->n_fruitless = s->n_calls == n_calls ? s->n_fruitless + 1 : 0;
	has_timeout = MHD_get_timeout(s->daemon, &timeout_ms) == MHD_YES;
	if (!has_timeout || timeout_ms)
		s->n_fruitless = 0;
	else
		timeout_ms = wait_before_next(s);
	uv_timer_stop(&s->timer);
	if (s->n_must_run || (has_timeout && timeout_ms == 0)) {
		uv_idle_start(&s->soon, on_soon);
		return;
	}
	uv_idle_stop(&s->soon);
	if (has_timeout)
		uv_timer_start(&s->timer, on_timer, timeout_ms, 0);
}

static void run_soon(struct http_server *s, unsigned int n_times)
{
	if (uv_is_closing((uv_handle_t *)&s->soon))
		return; /* the library's last calls */
	if (s->n_must_run < n_times)
		s->n_must_run = n_times;
	uv_idle_start(&s->soon, on_soon);
}

void http_server_run_soon(struct http_server *s)
{
	run_soon(s, 1);
}

void http_server_run_twice_soon(struct http_server *s)
{
	run_soon(s, 2);
}

/* ---- what the library calls -------------------------------------------------------------------------------------- */

static struct header_wait *header_wait_of(struct MHD_Connection *connection)
{
	return MHD_get_connection_info(connection, MHD_CONNECTION_INFO_SOCKET_CONTEXT)->socket_context;
}

static void on_connection(void *data, struct MHD_Connection *connection, void **context,
			  enum MHD_ConnectionNotificationCode code)
{
	struct http_server *s = data;
	struct header_wait *wait = *context;

	s->n_calls++;
	if (code == MHD_CONNECTION_NOTIFY_CLOSED) {
		if (wait)
			header_watch_end(s->header_watch, wait);
		free(wait);
		/* If there was no room for another one, the library looks for it again when it runs, and not before. */
		http_server_run_soon(s);
		return;
	}
	*context = wait = calloc(1, sizeof(*wait));
	if (!wait)
		return;
	wait->fd = MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD)->connect_fd;
	header_watch_begin(s->header_watch, wait);
}

/* Called with the raw target, before anything was decoded; what it returns becomes *slot below. */
static void *on_target(void *data, const char *target, struct MHD_Connection *connection)
{
	struct http_server *s = data;
	struct exchange *x = calloc(1, sizeof(*x));

	if (!x)
		return NULL;
	x->server = s;
	x->connection = connection;
	x->request.received_ns = uv_hrtime();
	x->request.has_tls = s->has_tls;
	x->request.url_error = url_split(&x->request.url, target);
	x->request.target = x->target = strdup(target);
	x->next = s->exchanges;
	if (x->next)
		x->next->previous = x;
	s->exchanges = x;
	s->n_exchanges++;
	return x;
}

static void on_completed(void *data, struct MHD_Connection *connection, void **slot,
			 enum MHD_RequestTerminationCode code)
{
	struct http_server *s = data;
	struct header_wait *wait = header_wait_of(connection);
	struct exchange *x = *slot;

	(void)code;
	s->n_calls++;
	if (wait)
		header_watch_begin(s->header_watch, wait);
	if (!x)
		return;
	*slot = NULL;
	exchange_tell_gone(x);
	if (x->has_begun && s->handler.over)
		s->handler.over(s->handler.data, &x->request, x->status);
	exchange_stop_watch(x);
	if (x->previous)
		x->previous->next = x->next;
	else
		s->exchanges = x->next;
	if (x->next)
		x->next->previous = x->previous;
	s->n_exchanges--;
	if (x->response)
		MHD_destroy_response(x->response);
	http_clear_headers(&x->request);
	free(x->target);
	http_release_body(&x->request);
	buffer_fini(&x->stream);
	url_fini(&x->request.url);
	free(x->request.principal);
	free(x);
}

/* Queues the answer that is there, closes if the client went, or waits. */
static enum MHD_Result deliver(struct exchange *x)
{
	struct header_wait *wait = header_wait_of(x->connection);
	enum MHD_Result rc;

	if (x->is_gone)
		return MHD_NO;
	if (!x->response) {
		exchange_suspend(x);
		return MHD_YES;
	}
	if (wait)
		header_watch_end(x->server->header_watch, wait);
	rc = MHD_queue_response(x->connection, x->status, x->response);
	MHD_destroy_response(x->response); /* the library holds a reference of its own */
	x->response = NULL;
	if (rc == MHD_NO)
		x->streamed = NULL;
	return rc;
}

static enum MHD_Result count_length(void *data, enum MHD_ValueKind kind, const char *name, const char *value)
{
	unsigned int *n_lengths = data;

	(void)kind;
	(void)value;
	if (strcasecmp(name, MHD_HTTP_HEADER_CONTENT_LENGTH) == 0 ||
	    strcasecmp(name, MHD_HTTP_HEADER_TRANSFER_ENCODING) == 0)
		++*n_lengths;
	return MHD_YES;
}

/*
 * Two headers that say how long the body is, of which a proxy in front may believe the other one: what follows could be
 * another client's request (RFC 9112, 6.3). The library takes one of them and goes on.
 */
static bool has_two_lengths(const struct exchange *x)
{
	unsigned int n_lengths = 0;

	MHD_get_connection_values(x->connection, MHD_HEADER_KIND, count_length, &n_lengths);
	return n_lengths > 1;
}

/*
 * The library takes any other word than chunked for a body without an end, and chunks in HTTP/1.0, which has none: a
 * proxy in front may see the end of this request elsewhere (RFC 9112, 6.1).
 */
static bool has_odd_coding(const struct exchange *x)
{
	const char *coding = http_request_header(&x->request, MHD_HTTP_HEADER_TRANSFER_ENCODING);

	return coding && (x->request.is_http_10 || strcasecmp(coding, "chunked") != 0);
}

static enum MHD_Result begin(struct exchange *x, const char *method, const char *version)
{
	const char *text = http_request_header(&x->request, MHD_HTTP_HEADER_CONTENT_LENGTH);
	unsigned long long length = text ? strtoull(text, NULL, 10) : 0;
	struct header_wait *wait = header_wait_of(x->connection);

	if (wait)
		header_watch_end(x->server->header_watch, wait);
	x->has_begun = true;
	x->request.method = method;
	x->request.is_http_10 = strcmp(version, MHD_HTTP_VERSION_1_1) != 0;
	x->request.has_two_lengths = has_two_lengths(x);
	x->request.has_odd_coding = has_odd_coding(x);
	x->server->handler.begin(x->server->handler.data, &x->request);
	if (!x->response && length > x->request.body_max) {
		x->request.body_refused = HTTP_BODY_TOO_LARGE;
		x->server->handler.complete(x->server->handler.data, &x->request);
	}
	x->is_handled = !x->response && !x->is_gone && x->request.take;
	/* Who has no rights has for a body that nobody wants as long as for the headers, however it trickles. */
	if (x->response && !x->request.principal && wait)
		header_watch_begin(x->server->header_watch, wait);
	/* An answer before the body closes the connection, so a small body is read first. */
	return x->response && length > (x->request.take ? DISCARD_PIECES_MAX : DISCARD_MAX) ? deliver(x) : MHD_YES;
}

/* Returns how many of the bytes were taken, or are not wanted. */
static size_t take_piece(struct exchange *x, const char *data, size_t size)
{
	struct http_request *r = &x->request;
	size_t n;

	if (x->response)
		return size;
	n = r->take(r, data, size);
	if (x->response)
		return size;
	if (n < size && !x->is_gone)
		exchange_suspend(x);
	return n;
}

static enum MHD_Result take_body(struct exchange *x, const char *data, size_t size)
{
	struct http_request *r = &x->request;

	if (x->response || r->body_refused)
		return MHD_YES;
	if (size > r->body_max - r->body.size)
		r->body_refused = HTTP_BODY_TOO_LARGE;
	else if (size > x->server->settings.body_budget - x->server->body_bytes)
		r->body_refused = HTTP_BODY_NO_ROOM;
	if (r->body_refused) {
		http_release_body(r);
		return MHD_YES;
	}
	buffer_put(&r->body, data, size);
	x->n_body += size;
	x->server->body_bytes += size;
	return r->body.failed ? MHD_NO : MHD_YES;
}

static enum MHD_Result on_request(void *data, struct MHD_Connection *connection, const char *url, const char *method,
				  const char *version, const char *upload, size_t *upload_size, void **slot)
{
	struct http_server *s = data;
	struct exchange *x = *slot;

	(void)connection;
	(void)url;
	s->n_calls++;
	if (!x || x->is_gone)
		return MHD_NO;
	if (!x->has_begun)
		return begin(x, method, version);
	if (*upload_size) {
		size_t size = *upload_size;

		*upload_size = x->request.take ? size - take_piece(x, upload, size) : 0;
		return x->request.take ? (x->is_gone ? MHD_NO : MHD_YES) : take_body(x, upload, size);
	}
	if (!x->response && !x->is_complete) {
		x->is_complete = x->is_handled = true;
		x->server->handler.complete(x->server->handler.data, &x->request);
	}
	return deliver(x);
}

static void on_library_log(void *data, const char *format, va_list args) __attribute__((format(printf, 2, 0)));
static void on_library_log(void *data, const char *format, va_list args)
{
	char text[512];

	(void)data;
	vsnprintf(text, sizeof(text), format, args);
	log_debug("http: %s", text);
}

/* ---- start and end ----------------------------------------------------------------------------------------------- */

/* The library keeps the pointers, and reads the texts, only while it starts. */
static struct MHD_Daemon *start_daemon(struct http_server *s, int listen_fd, const struct tls_pair *tls)
{
	const struct http_server_settings *settings = &s->settings;
	struct MHD_OptionItem for_tls[] = {
		{ MHD_OPTION_HTTPS_MEM_CERT, 0, tls ? tls->certificate : NULL },
		{ MHD_OPTION_HTTPS_MEM_KEY, 0, tls ? tls->key : NULL },
		{ MHD_OPTION_HTTPS_PRIORITIES, 0, (void *)(uintptr_t)TLS_PRIORITIES },
		{ MHD_OPTION_END, 0, NULL },
	};
	unsigned int flags = MHD_USE_EPOLL | MHD_ALLOW_SUSPEND_RESUME | MHD_ALLOW_UPGRADE | MHD_USE_ERROR_LOG |
			     (tls ? MHD_USE_TLS : 0);

	return MHD_start_daemon(flags, 0, NULL, NULL, on_request, s, MHD_OPTION_EXTERNAL_LOGGER, on_library_log, NULL,
				MHD_OPTION_LISTEN_SOCKET, listen_fd, MHD_OPTION_CONNECTION_LIMIT,
				settings->max_connections, MHD_OPTION_CONNECTION_TIMEOUT, settings->idle_timeout_s,
				MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)CONNECTION_MEMORY,
				MHD_OPTION_URI_LOG_CALLBACK, on_target, s, MHD_OPTION_NOTIFY_COMPLETED, on_completed, s,
				MHD_OPTION_NOTIFY_CONNECTION, on_connection, s, MHD_OPTION_ARRAY,
				tls ? for_tls : for_tls + 3, MHD_OPTION_END);
}

static int listen_safely(struct http_server *s, struct error *err)
{
	int fd = http_listen(s->settings.listen, s->address, sizeof(s->address), err);

	if (fd < 0 || s->settings.tls || s->settings.allow_plain_http || http_is_loopback(fd))
		return fd;
	close(fd);
	return error_set(
		err, EINVAL,
		"on %s, tokens would cross the network in the clear: set tls-certificate and tls-key (`hearth cert "
		"init` makes a pair for trying), or allow-plain-http if a proxy with TLS is in front",
		s->address);
}

struct http_server *http_server_create(uv_loop_t *loop, const struct http_server_settings *settings,
				       const struct http_handler *handler, struct error *err)
{
	struct http_server *s = calloc(1, sizeof(*s));
	AUTO_FD int fd = -1;

	if (!s) {
		error_set(err, ENOMEM, "out of memory");
		return NULL;
	}
	s->loop = loop;
	s->settings = *settings;
	s->handler = *handler;
	fd = listen_safely(s, err);
	if (fd < 0)
		goto fail;
	s->has_tls = settings->tls != NULL;
	s->header_watch = header_watch_create(loop, settings->idle_timeout_s);
	if (!s->header_watch) {
		error_set(err, ENOMEM, "out of memory");
		goto fail;
	}
	s->daemon = start_daemon(s, fd, settings->tls);
	s->settings.tls = NULL;
	if (!s->daemon) {
		error_set(err, EIO, "the HTTP library did not start: see the log at level debug");
		goto fail;
	}
	steal_fd(&fd);
	uv_poll_init(loop, &s->poll, MHD_get_daemon_info(s->daemon, MHD_DAEMON_INFO_EPOLL_FD)->epoll_fd);
	uv_timer_init(loop, &s->timer);
	uv_idle_init(loop, &s->soon);
	s->poll.data = s->timer.data = s->soon.data = s;
	s->n_open = 3;
	uv_poll_start(&s->poll, UV_READABLE, on_poll);
	run(s);
	return s;
fail:
	header_watch_destroy(s->header_watch);
	free(s);
	return NULL;
}

bool http_server_has_tls(const struct http_server *s)
{
	return s->has_tls;
}

const char *http_server_address(const struct http_server *s)
{
	return s->address;
}

void http_server_quiesce(struct http_server *s)
{
	int fd = MHD_quiesce_daemon(s->daemon);

	if (fd >= 0)
		close(fd);
}

unsigned int http_server_n_requests(const struct http_server *s)
{
	return s->n_exchanges;
}

static void on_closed(uv_handle_t *handle)
{
	struct http_server *s = handle->data;

	if (--s->n_open == 0)
		free(s);
}

void http_server_destroy(struct http_server *s)
{
	if (!s)
		return;
	for (struct exchange *x = s->exchanges; x; x = x->next) {
		exchange_tell_gone(x);
		exchange_end_upgrade(x);
		exchange_resume(x);
	}
	uv_close((uv_handle_t *)&s->poll, on_closed);
	uv_close((uv_handle_t *)&s->timer, on_closed);
	uv_close((uv_handle_t *)&s->soon, on_closed);
	MHD_stop_daemon(s->daemon);
	header_watch_destroy(s->header_watch);
}
