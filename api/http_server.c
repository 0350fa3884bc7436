/*
 * How a request that is answered later waits: its connection is suspended, so the library neither polls nor times it
 * out. Meanwhile a poll handle on a copy of its socket waits for the client to hang up. An answer, or the hang-up,
 * resumes the connection; the library then calls back, and finds the answer or closes.
 */
#include "api/http_server.h"

#include "api/hang_up_watch.h"
#include "api/header_watch.h"
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
	CONNECTION_MEMORY = 64 << 10, /* the library's pool for each: headers, and one block of a body */
	STREAM_BLOCK = 32 << 10,
	DISCARD_MAX = 1 << 20, /* a body that is not wanted is read up to this size, to keep the connection */
	DISCARD_PIECES_MAX =
		1 << 30, /* likewise, one that comes in pieces: many clients see no answer before its end */
};

struct http_server {
	uv_loop_t *loop;
	struct MHD_Daemon *daemon;
	struct http_handler handler;
	struct http_server_settings settings;
	char address[80];
	bool has_tls;
	uv_poll_t poll;   /* the library's epoll descriptor */
	uv_timer_t timer; /* when the library wants to run next */
	struct header_watch *header_watch;
	bool must_run;     /* a connection was resumed, perhaps while the library ran */
	int n_open;        /* handles that libuv still uses */
	size_t body_bytes; /* of all bodies in memory */
	struct exchange *exchanges;
	unsigned int n_exchanges;
};

/* A request with what the server keeps about it. */
struct exchange {
	struct http_request request;
	struct http_server *server;
	struct MHD_Connection *connection;
	struct exchange *next, *previous;
	struct hang_up_watch *watch; /* NULL unless suspended */
	bool has_begun;
	bool is_handled;  /* the handler has it and may still answer */
	bool is_complete; /* the handler was told that the body is there */
	bool is_suspended;
	bool is_gone;                  /* the client hung up */
	size_t n_body;                 /* bytes of the body that count in server->body_bytes */
	struct MHD_Response *response; /* that waits to be queued */
	unsigned int status;
	struct {
		char *name;
		char *value;
	} headers[HTTP_HEADERS_MAX];
	size_t n_headers;
	bool stream_ended;
	struct buffer stream; /* written by the handler */
	size_t n_stream_sent; /* bytes of it that the library took */
};

static struct exchange *exchange_of(const struct http_request *r)
{
	return (struct exchange *)(uintptr_t)r; /* its first member */
}

/* ---- the loop ---------------------------------------------------------------------------------------------------- */

static void run(struct http_server *s);

static void on_timer(uv_timer_t *timer)
{
	run(timer->data);
}

static void on_poll(uv_poll_t *poll, int status, int events)
{
	(void)status;
	(void)events;
	run(poll->data);
}

static void run(struct http_server *s)
{
	MHD_UNSIGNED_LONG_LONG timeout_ms;

	s->must_run = false;
	MHD_run(s->daemon);
	if (s->must_run)
		uv_timer_start(&s->timer, on_timer, 0, 0);
	else if (MHD_get_timeout(s->daemon, &timeout_ms) == MHD_YES)
		uv_timer_start(&s->timer, on_timer, timeout_ms, 0);
	else
		uv_timer_stop(&s->timer);
}

/* ---- suspended connections --------------------------------------------------------------------------------------- */

static void stop_watch(struct exchange *x)
{
	hang_up_watch_stop(x->watch);
	x->watch = NULL;
}

static void resume(struct exchange *x)
{
	stop_watch(x);
	if (!x->is_suspended)
		return;
	x->is_suspended = false;
	MHD_resume_connection(x->connection);
	x->server->must_run = true;
	uv_timer_start(&x->server->timer, on_timer, 0, 0);
}

static void tell_gone(struct exchange *x)
{
	bool was_handled = x->is_handled;

	x->is_gone = true;
	x->is_handled = false;
	if (was_handled && x->request.gone)
		x->request.gone(&x->request);
}

static void on_hang_up(void *data)
{
	struct exchange *x = data;

	tell_gone(x);
	resume(x);
}

/* Without a watch a hang-up is noticed when the answer is written. */
static void suspend(struct exchange *x)
{
	const union MHD_ConnectionInfo *info =
		MHD_get_connection_info(x->connection, MHD_CONNECTION_INFO_CONNECTION_FD);

	x->is_suspended = true;
	MHD_suspend_connection(x->connection);
	if (info)
		x->watch = hang_up_watch_start(x->server->loop, info->connect_fd, on_hang_up, x);
}

/* ---- answers ----------------------------------------------------------------------------------------------------- */

const char *http_request_header(const struct http_request *r, const char *name)
{
	return MHD_lookup_connection_value(exchange_of(r)->connection, MHD_HEADER_KIND, name);
}

void http_add_header(struct http_request *r, const char *name, const char *value)
{
	struct exchange *x = exchange_of(r);

	if (x->n_headers == HTTP_HEADERS_MAX)
		return;
	x->headers[x->n_headers].name = strdup(name);
	x->headers[x->n_headers].value = strdup(value);
	x->n_headers++;
}

void http_release_body(struct http_request *r)
{
	struct exchange *x = exchange_of(r);

	buffer_fini(&r->body);
	x->server->body_bytes -= x->n_body;
	x->n_body = 0;
}

static void add_headers(struct exchange *x, const char *content_type)
{
	if (content_type)
		MHD_add_response_header(x->response, MHD_HTTP_HEADER_CONTENT_TYPE, content_type);
	for (size_t i = 0; i < x->n_headers; i++)
		if (x->headers[i].name && x->headers[i].value)
			MHD_add_response_header(x->response, x->headers[i].name, x->headers[i].value);
}

void http_respond(struct http_request *r, unsigned int status, const char *content_type, struct buffer *body)
{
	struct exchange *x = exchange_of(r);

	x->is_handled = false;
	x->status = status;
	x->response = body->failed ? NULL
				   : MHD_create_response_from_buffer_with_free_callback(body->size, body->data, free);
	if (x->response) {
		add_headers(x, content_type);
		*body = (struct buffer) { 0 };
	} else {
		log_error("out of memory for an answer: its connection is closed");
		buffer_fini(body);
		x->is_gone = true;
	}
	resume(x);
}

/* The library wants more of a stream. */
static ssize_t read_stream(void *data, uint64_t position, char *to, size_t size)
{
	struct exchange *x = data;
	size_t n = x->stream.size - x->n_stream_sent;

	(void)position;
	if (x->is_gone || x->stream.failed)
		return MHD_CONTENT_READER_END_WITH_ERROR;
	if (n == 0 && x->stream_ended)
		return MHD_CONTENT_READER_END_OF_STREAM;
	if (n == 0) {
		suspend(x);
		return 0;
	}
	n = n < size ? n : size;
	memcpy(to, x->stream.data + x->n_stream_sent, n);
	x->n_stream_sent += n;
	/* Moving the rest to the front only when it is the smaller half keeps the copying linear. */
	if (x->n_stream_sent >= x->stream.size / 2) {
		buffer_drop_front(&x->stream, x->n_stream_sent);
		x->n_stream_sent = 0;
	}
	if (x->is_handled && x->request.drained)
		x->request.drained(&x->request);
	return (ssize_t)n;
}

void http_body_resume(struct http_request *r)
{
	resume(exchange_of(r));
}

void http_stream_begin(struct http_request *r, unsigned int status, const char *content_type)
{
	http_stream_begin_sized(r, status, content_type, HTTP_SIZE_UNKNOWN);
}

void http_stream_begin_sized(struct http_request *r, unsigned int status, const char *content_type, uint64_t size)
{
	struct exchange *x = exchange_of(r);

	x->status = status;
	/* HTTP_SIZE_UNKNOWN is the library's word, too. */
	x->response = MHD_create_response_from_callback(size, STREAM_BLOCK, read_stream, x, NULL);
	if (x->response)
		add_headers(x, content_type);
	else
		x->is_gone = true;
	/* A reader that pauses is not idle: how long it may pause is the handler's to decide. */
	MHD_set_connection_option(x->connection, MHD_CONNECTION_OPTION_TIMEOUT, 0U);
	resume(x);
}

void http_stream_write(struct http_request *r, const void *data, size_t size)
{
	struct exchange *x = exchange_of(r);

	buffer_put(&x->stream, data, size);
	resume(x);
}

size_t http_stream_backlog(const struct http_request *r)
{
	const struct exchange *x = exchange_of(r);

	return x->stream.size - x->n_stream_sent;
}

void http_stream_end(struct http_request *r)
{
	struct exchange *x = exchange_of(r);

	x->stream_ended = true;
	x->is_handled = false;
	MHD_set_connection_option(x->connection, MHD_CONNECTION_OPTION_TIMEOUT, x->server->settings.idle_timeout_s);
	resume(x);
}

void http_stream_abort(struct http_request *r)
{
	exchange_of(r)->is_gone = true;
	http_stream_end(r);
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

	if (code == MHD_CONNECTION_NOTIFY_CLOSED) {
		if (wait)
			header_watch_end(s->header_watch, wait);
		free(wait);
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
	if (wait)
		header_watch_begin(s->header_watch, wait);
	if (!x)
		return;
	*slot = NULL;
	tell_gone(x);
	if (x->has_begun && s->handler.over)
		s->handler.over(s->handler.data, &x->request, x->status);
	stop_watch(x);
	if (x->previous)
		x->previous->next = x->next;
	else
		s->exchanges = x->next;
	if (x->next)
		x->next->previous = x->previous;
	s->n_exchanges--;
	if (x->response)
		MHD_destroy_response(x->response);
	for (size_t i = 0; i < x->n_headers; i++) {
		free(x->headers[i].name);
		free(x->headers[i].value);
	}
	http_release_body(&x->request);
	buffer_fini(&x->stream);
	url_fini(&x->request.url);
	free(x->request.principal);
	free(x);
}

/* Queues the answer that is there, closes if the client went, or waits. */
static enum MHD_Result deliver(struct exchange *x)
{
	enum MHD_Result rc;

	if (x->is_gone)
		return MHD_NO;
	if (!x->response) {
		suspend(x);
		return MHD_YES;
	}
	rc = MHD_queue_response(x->connection, x->status, x->response);
	MHD_destroy_response(x->response); /* the library holds a reference of its own */
	x->response = NULL;
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

static enum MHD_Result begin(struct exchange *x, const char *method)
{
	const char *text = http_request_header(&x->request, MHD_HTTP_HEADER_CONTENT_LENGTH);
	unsigned long long length = text ? strtoull(text, NULL, 10) : 0;
	struct header_wait *wait = header_wait_of(x->connection);

	if (wait)
		header_watch_end(x->server->header_watch, wait);
	x->has_begun = true;
	x->request.method = method;
	x->request.has_two_lengths = has_two_lengths(x);
	x->server->handler.begin(x->server->handler.data, &x->request);
	if (!x->response && length > x->request.body_max) {
		x->request.body_refused = HTTP_BODY_TOO_LARGE;
		x->server->handler.complete(x->server->handler.data, &x->request);
	}
	x->is_handled = !x->response && x->request.take;
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
		suspend(x);
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
	struct exchange *x = *slot;

	(void)data;
	(void)connection;
	(void)url;
	(void)version;
	if (!x || x->is_gone)
		return MHD_NO;
	if (!x->has_begun)
		return begin(x, method);
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
	unsigned int flags = MHD_USE_EPOLL | MHD_ALLOW_SUSPEND_RESUME | MHD_USE_ERROR_LOG | (tls ? MHD_USE_TLS : 0);

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
	s->poll.data = s;
	s->timer.data = s;
	s->n_open = 2;
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
		tell_gone(x);
		resume(x);
	}
	uv_close((uv_handle_t *)&s->poll, on_closed);
	uv_close((uv_handle_t *)&s->timer, on_closed);
	MHD_stop_daemon(s->daemon);
	header_watch_destroy(s->header_watch);
}
