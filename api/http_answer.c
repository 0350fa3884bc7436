/*
 * How a request that is answered later waits: its connection is suspended, so the library neither polls nor times it
 * out. Meanwhile a poll handle on a copy of its socket waits for the client to hang up. An answer, or the hang-up,
 * resumes the connection; the library then calls back, and finds the answer or closes.
 */
#include "api/http_exchange.h"

#include "api/hang_up_watch.h"
#include "common/log.h"

#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
	STREAM_BLOCK = 32 << 10,
};

/* ---- suspended connections --------------------------------------------------------------------------------------- */

void exchange_stop_watch(struct exchange *x)
{
	hang_up_watch_stop(x->watch);
	x->watch = NULL;
}

void exchange_resume(struct exchange *x)
{
	exchange_stop_watch(x);
	if (!x->is_suspended)
		return;
	x->is_suspended = false;
	MHD_resume_connection(x->connection);
	http_server_run_soon(x->server);
}

void exchange_tell_gone(struct exchange *x)
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

	exchange_tell_gone(x);
	exchange_resume(x);
}

/* Without a watch a hang-up is noticed when the answer is written. */
void exchange_suspend(struct exchange *x)
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

void http_clear_headers(struct http_request *r)
{
	struct exchange *x = exchange_of(r);

	for (size_t i = 0; i < x->n_headers; i++) {
		free(x->headers[i].name);
		free(x->headers[i].value);
	}
	x->n_headers = 0;
}

struct fields {
	http_field_cb each;
	void *data;
};

static enum MHD_Result on_field(void *data, enum MHD_ValueKind kind, const char *name, size_t name_size,
				const char *value, size_t value_size)
{
	struct fields *f = data;

	(void)kind;
	f->each(f->data, name, name_size, value ? value : "", value ? value_size : 0);
	return MHD_YES;
}

void http_each_header(struct http_request *r, http_field_cb each, void *data)
{
	MHD_get_connection_values_n(exchange_of(r)->connection, MHD_HEADER_KIND, on_field,
				    &(struct fields) { each, data });
}

void http_each_trailer(struct http_request *r, http_field_cb each, void *data)
{
	MHD_get_connection_values_n(exchange_of(r)->connection, MHD_FOOTER_KIND, on_field,
				    &(struct fields) { each, data });
}

void http_client_address(struct http_request *r, char address[HTTP_ADDRESS_SIZE])
{
	const union MHD_ConnectionInfo *info =
		MHD_get_connection_info(exchange_of(r)->connection, MHD_CONNECTION_INFO_CLIENT_ADDRESS);
	const struct sockaddr *from = info ? info->client_addr : NULL;
	socklen_t size = from && from->sa_family == AF_INET6 ? sizeof(struct sockaddr_in6) : sizeof(struct sockaddr_in);

	if (!from || getnameinfo(from, size, address, HTTP_ADDRESS_SIZE, NULL, 0, NI_NUMERICHOST) != 0)
		snprintf(address, HTTP_ADDRESS_SIZE, "unknown");
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
	exchange_resume(x);
}

/* The library wants more of a stream. */
static ssize_t read_stream(void *data, uint64_t position, char *to, size_t size)
{
	struct exchange *x = data;
	size_t n = x->stream.size - x->n_stream_sent;

	(void)position;
	x->server->n_calls++;
	if (x->is_gone || x->stream.failed)
		return MHD_CONTENT_READER_END_WITH_ERROR;
	if (n == 0 && x->stream_ended)
		return MHD_CONTENT_READER_END_OF_STREAM;
	if (n == 0) {
		exchange_suspend(x);
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
	exchange_resume(exchange_of(r));
}

void http_stream_begin(struct http_request *r, unsigned int status, const char *content_type)
{
	http_stream_begin_sized(r, status, content_type, HTTP_SIZE_UNKNOWN);
}

/*
 * The library ends what it would send in chunks with an empty one, also where it was asked for the headers alone: the
 * client would take that for the beginning of its next answer. In this mode there are none, and the connection is closed.
 */
static void do_without_chunks(struct MHD_Response *response)
{
	MHD_set_response_options(response, MHD_RF_HTTP_1_0_COMPATIBLE_STRICT, MHD_RO_END);
}

void http_stream_begin_sized(struct http_request *r, unsigned int status, const char *content_type, uint64_t size)
{
	struct exchange *x = exchange_of(r);

	x->status = status;
	/* HTTP_SIZE_UNKNOWN is the library's word, too. */
	x->response = MHD_create_response_from_callback(size, STREAM_BLOCK, read_stream, x, NULL);
	x->streamed = x->response;
	if (x->response)
		add_headers(x, content_type);
	else
		x->is_gone = true;
	if (x->response && size == HTTP_SIZE_UNKNOWN && strcmp(r->method, MHD_HTTP_METHOD_HEAD) == 0)
		do_without_chunks(x->response);
	/* A reader that pauses is not idle: how long it may pause is the handler's to decide. */
	MHD_set_connection_option(x->connection, MHD_CONNECTION_OPTION_TIMEOUT, 0U);
	exchange_resume(x);
}

void http_stream_begin_live(struct http_request *r, unsigned int status, const char *content_type)
{
	http_add_header(r, "Cache-Control", "no-store");
	http_add_header(r, "X-Accel-Buffering", "no"); /* nginx's word for it */
	http_stream_begin(r, status, content_type);
}

void http_stream_write(struct http_request *r, const void *data, size_t size)
{
	struct exchange *x = exchange_of(r);

	buffer_put(&x->stream, data, size);
	exchange_resume(x);
}

void http_add_trailer(struct http_request *r, const char *name, const char *value)
{
	struct exchange *x = exchange_of(r);

	if (x->streamed)
		MHD_add_response_footer(x->streamed, name, value);
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
	exchange_resume(x);
}

void http_stream_abort(struct http_request *r)
{
	exchange_of(r)->is_gone = true;
	http_stream_end(r);
}

/* ---- upgrades ---------------------------------------------------------------------------------------------------- */

/* The library may have left it waiting for full segments. */
static void send_at_once(struct MHD_Connection *connection)
{
	int fd = MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD)->connect_fd;
	int on = 1, off = 0;

	setsockopt(fd, IPPROTO_TCP, TCP_CORK, &off, sizeof(off));
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
}

/* The client is gone, or has been sent all. */
static void on_relay_over(void *data)
{
	struct exchange *x = data;

	x->relay = NULL;
	exchange_tell_gone(x);
	http_upgrade_end(&x->request);
}

/* A descriptor of the client's bytes, or negative. */
static int open_upgraded(struct exchange *x)
{
	int socket = MHD_get_connection_info(x->connection, MHD_CONNECTION_INFO_CONNECTION_FD)->connect_fd;
	int fd = -1;

	if (!x->server->has_tls)
		return fcntl(socket, F_DUPFD_CLOEXEC, 0);
	x->relay =
		tls_relay_start(x->server->loop,
				MHD_get_connection_info(x->connection, MHD_CONNECTION_INFO_GNUTLS_SESSION)->tls_session,
				socket, &fd, on_relay_over, x);
	return x->relay ? fd : -1;
}

static void on_upgrade(void *data, struct MHD_Connection *connection, void *slot, const char *sent, size_t n_sent,
		       MHD_socket socket, struct MHD_UpgradeResponseHandle *handle)
{
	struct exchange *x = data;
	int fd = x->is_gone ? -1 : open_upgraded(x);

	(void)slot;
	(void)socket; /* with TLS, the library's relay */
	send_at_once(connection);
	x->upgrade = handle;
	if (fd >= 0) {
		x->upgraded(&x->request, fd, sent, n_sent);
		return;
	}
	exchange_tell_gone(x);
	http_upgrade_end(&x->request);
}

void http_upgrade(struct http_request *r, http_upgraded_cb upgraded)
{
	struct exchange *x = exchange_of(r);

	x->status = MHD_HTTP_SWITCHING_PROTOCOLS;
	x->upgraded = upgraded;
	x->response = MHD_create_response_for_upgrade(on_upgrade, x);
	if (x->response)
		add_headers(x, NULL);
	else
		x->is_gone = true;
	exchange_resume(x);
}

void exchange_end_upgrade(struct exchange *x)
{
	if (!x->relay)
		return;
	tls_relay_kill(x->relay);
	on_relay_over(x);
}

void http_upgrade_end(struct http_request *r)
{
	struct exchange *x = exchange_of(r);
	struct MHD_UpgradeResponseHandle *handle = x->upgrade;

	x->is_handled = false;
	x->is_gone = true;
	if (x->relay) {
		/* Sends what is still there, and calls on_relay_over(). */
		tls_relay_finish(x->relay);
		return;
	}
	if (!handle)
		return;
	x->upgrade = NULL;
	MHD_upgrade_action(handle, MHD_UPGRADE_ACTION_CLOSE);
	http_server_run_twice_soon(x->server);
}
