/*
 * HTTP/1.1 on the uv loop: libmicrohttpd with an epoll descriptor of its own, which the loop polls. No thread. This is
 * the only part that knows the library.
 */
#ifndef HEARTH_API_HTTP_SERVER_H
#define HEARTH_API_HTTP_SERVER_H

#include "api/http_request.h"
#include "api/tls.h"
#include "common/error.h"

#include <uv.h>

struct http_handler {
	/* The headers are complete: sets r->body_max, or answers at once. */
	void (*begin)(void *data, struct http_request *r);
	/*
	 * The body is complete: answers now or later. If it was refused (r->body_refused): answers now. Not called if
	 * begin() answered.
	 */
	void (*complete)(void *data, struct http_request *r);
	/* It is over; `status` is that of its answer, 0 if the client went before there was one. May be NULL. */
	void (*over)(void *data, const struct http_request *r, unsigned int status);
	void *data;
};

struct http_server;

struct http_server_settings {
	const char *listen; /* "127.0.0.1:8080", "[::1]:8080", "localhost:0" */
	unsigned int max_connections;
	unsigned int idle_timeout_s; /* of a connection that neither sends nor takes; not while a handler works.
				      * And the time that all headers of a request have together */
	size_t body_budget;          /* bytes of all bodies in memory at a time */
	const struct tls_pair *tls;  /* NULL: plain HTTP; used until the server is created */
	bool allow_plain_http;       /* on other addresses than loopback ones */
};

/* Starts to serve. NULL on failure, with *err filled. */
struct http_server *http_server_create(uv_loop_t *loop, const struct http_server_settings *settings,
				       const struct http_handler *handler, struct error *err);

/* True if clients speak TLS with it. */
bool http_server_has_tls(const struct http_server *s);

/* "127.0.0.1:8080": where it really listens. */
const char *http_server_address(const struct http_server *s);

/* Takes no new connections. Those that stand go on. */
void http_server_quiesce(struct http_server *s);

/* Requests that are being received, handled or answered. */
unsigned int http_server_n_requests(const struct http_server *s);

/* Closes all connections; clients in mid-answer are cut off, gone() is called for requests that wait. NULL is fine. */
void http_server_destroy(struct http_server *s);

#endif
