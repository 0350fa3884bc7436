/* What the files of the proxy (proxy*.c) share: one request on its way, and its answer. */
#ifndef HEARTH_API_PROXY_PRIVATE_H
#define HEARTH_API_PROXY_PRIVATE_H

#include "api/ingress.h"
#include "api/proxy_request.h"
#include "api/proxy_tunnel.h"
#include "api/response_parser.h"
#include "api/rest.h"

enum {
	PROXY_BACKLOG_HIGH = 256 << 10, /* bytes on their way to a side that does not take them */
	PROXY_BACKLOG_LOW = 64 << 10,
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

/* ---- proxy.c: the request ---- */

/* It is over. Idempotent; frees it later. */
void proxy_end(struct proxy *p);

/* The request, which is not the proxy's any more. */
struct http_request *proxy_take_request(struct proxy *p);

/* Ends with an answer of ours, or cuts off the container's. */
void proxy_fail(struct proxy *p, unsigned int status, const char *code, const char *format, ...)
	__attribute__((format(printf, 4, 5)));

/* Likewise, with what the container wrote last, which may say why. */
void proxy_fail_with_log(struct proxy *p, unsigned int status, const char *code, const char *message);

void proxy_fail_memory(struct proxy *p);

/* ---- proxy_answer.c: the answer ---- */

/* Takes what the container says, and its end. */
void proxy_answer_take(struct proxy *p, const char *data, size_t size);
void proxy_answer_ended(struct proxy *p, bool is_broken);

/* The client has sent all: what was held of the answer may go to it. */
void proxy_answer_begin(struct proxy *p);

/* What was written to the client went out. */
void proxy_answer_drained(struct http_request *r);

#endif
