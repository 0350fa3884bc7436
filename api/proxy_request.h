/*
 * A client's request as the container gets it: made anew from what was understood of it, so that it can be understood in
 * one way only. Headers about the connection stay out, and those that open this service; X-Forwarded-* come in.
 */
#ifndef HEARTH_API_PROXY_REQUEST_H
#define HEARTH_API_PROXY_REQUEST_H

#include "api/buffer.h"
#include "api/http_request.h"
#include "common/error.h"

#include <stdbool.h>
#include <stdint.h>

struct proxy_request {
	struct buffer head; /* request line and headers, with the empty line */
	bool is_chunked;    /* the body is to be sent in chunks */
	bool has_body;      /* it has one, if an empty one */
	bool is_to_head;
	bool can_be_repeated; /* it has no body, and to do it twice is to do it once */
	char *upgrade;        /* the protocols that the client offers; NULL: none */
};

/*
 * Fills *p, which proxy_request_fini() frees in every case. -EINVAL with a sentence for the client in *err: the request
 * is ambiguous, or nothing that can be passed on. -ENOMEM.
 */
int proxy_request_read(struct proxy_request *p, struct http_request *r, struct error *err);
void proxy_request_fini(struct proxy_request *p);

/* Appends the request's trailers, without those that may not be there, and the empty line. */
void proxy_request_put_trailers(struct buffer *out, struct http_request *r);

/* True if a header of either direction is passed on, given the message's own Connection header ("" if it has none). */
bool proxy_passes_header(const char *name, const char *connection);

#endif
