/*
 * One request with its connection and its answer, as the two halves of the HTTP server see it: http_server.c, which the
 * library calls, and http_answer.c, which handlers call. Nobody else includes this.
 */
#ifndef HEARTH_API_HTTP_EXCHANGE_H
#define HEARTH_API_HTTP_EXCHANGE_H

#include "api/header_watch.h"
#include "api/http_server.h"
#include "api/tls_relay.h"

#include <microhttpd.h>
#include <stdint.h>

struct http_server {
	uv_loop_t *loop;
	struct MHD_Daemon *daemon;
	struct http_handler handler;
	struct http_server_settings settings;
	char address[80];
	bool has_tls;
	uv_poll_t poll;   /* the library's epoll descriptor */
	uv_idle_t soon;   /* active if the library is to run without waiting */
	uv_timer_t timer; /* else: when it wants to run next */
	struct header_watch *header_watch;
	unsigned int n_must_run;  /* times: a connection was resumed or closed, perhaps while the library ran */
	unsigned int n_calls;     /* of the library's to us */
	unsigned int n_fruitless; /* runs in a row that it wanted and made no call in */
	int n_open;               /* handles that libuv still uses */
	size_t body_bytes;        /* of all bodies in memory */
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
	struct buffer stream;          /* written by the handler */
	size_t n_stream_sent;          /* bytes of it that the library took */
	struct MHD_Response *streamed; /* which the library holds, for its trailers */
	char *target;
	http_upgraded_cb upgraded;
	struct MHD_UpgradeResponseHandle *upgrade; /* until the library may close the connection */
	struct tls_relay *relay;                   /* of an upgraded connection with TLS */
};

static inline struct exchange *exchange_of(const struct http_request *r)
{
	return (struct exchange *)(uintptr_t)r; /* its first member */
}

/* Makes the library run soon: a connection was resumed. */
void http_server_run_soon(struct http_server *s);

/* Likewise, twice: it sees in one run that an upgraded connection with TLS was closed, and forgets it in the next. */
void http_server_run_twice_soon(struct http_server *s);

/* Lets the connection wait until exchange_resume(); a client that hangs up meanwhile is noticed. */
void exchange_suspend(struct exchange *x);

/* Idempotent. */
void exchange_resume(struct exchange *x);
void exchange_stop_watch(struct exchange *x);

/* Ends an upgraded connection at once, whatever is on its way. */
void exchange_end_upgrade(struct exchange *x);

/* The client is gone, or the server ends: tells the handler, if it still has the request. */
void exchange_tell_gone(struct exchange *x);

#endif
