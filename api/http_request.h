/*
 * A request and its answer, as the layers above the HTTP library see them. The server makes and frees it; a handler
 * answers it exactly once, at once or later, unless its client goes first.
 */
#ifndef HEARTH_API_HTTP_REQUEST_H
#define HEARTH_API_HTTP_REQUEST_H

#include "api/buffer.h"
#include "api/url.h"

#include <stdbool.h>
#include <stdint.h>

enum {
	HTTP_HEADERS_MAX = 128, /* of an answer, its trailers included */
};

struct principal;

enum http_body_refused {
	HTTP_BODY_TAKEN = 0,
	HTTP_BODY_TOO_LARGE, /* over body_max */
	HTTP_BODY_NO_ROOM,   /* the bodies in memory have used up what the server grants them together */
};

struct http_request {
	const char *method; /* "GET", … */
	struct url url;
	int url_error;        /* 0, or what url_split() returned */
	bool has_two_lengths; /* its headers say twice how long its body is: nothing behind it can be believed */
	bool has_odd_coding;  /* or its length is coded in a way that is not known, or not in its version of HTTP */
	bool is_http_10;
	const char *target; /* as it came: percent-encoded, with its query; NULL if there was no memory */
	size_t body_max;    /* bytes that are taken; http_handler.begin may set it, 0 at first */
	enum http_body_refused body_refused;
	struct buffer body; /* complete when http_handler.complete is called */
	uint64_t received_ns;
	bool has_tls; /* it came encrypted */

	const void *route;           /* the router's */
	unsigned int route_class;    /* likewise: an enum metrics_route */
	const char *path_identifier; /* likewise: {ID} of a path /identifier/{ID}/…, in url; NULL if none */
	const char *pool;            /* likewise: the name in …/sessionPools/<name>/…; NULL if none */
	size_t n_pool_segments;      /* likewise: how many segments of url lead to the pool, or to the list of pools */
	const char *path_name;       /* likewise: the segment where the route has a star; NULL if none */
	struct principal *principal; /* likewise: who sent it, NULL if the route asks nobody; freed with the request */
	char *const *path_rest;      /* likewise: the segments where the route has two stars */
	size_t n_path_rest;

	/*
	 * The handler's, set in http_handler.begin if it takes the body in pieces, as they come: returns how many of the
	 * bytes it took. Where it took fewer, no more are read from the client until http_body_resume(). `body` stays
	 * empty then. Not called any more once an answer was given: what the client still sends is dropped.
	 */
	size_t (*take)(struct http_request *r, const char *data, size_t size);

	/* the handler's, if it answers later or takes the body in pieces */
	void *owner;
	/* The client is gone: the request must not be touched again. Not called once the whole answer was given. */
	void (*gone)(struct http_request *r);
	/* What was written to a stream went out: there is room for more. May be NULL. */
	void (*drained)(struct http_request *r);
};

/* The value of a request header, or NULL. Valid as long as the request. */
const char *http_request_header(const struct http_request *r, const char *name);

/* Calls `each` with all headers, or all trailers once the body is complete. The texts may have any bytes, NUL included. */
typedef void (*http_field_cb)(void *data, const char *name, size_t name_size, const char *value, size_t value_size);
void http_each_header(struct http_request *r, http_field_cb each, void *data);
void http_each_trailer(struct http_request *r, http_field_cb each, void *data);

/* The address of whoever sent it, without a port: "192.0.2.1", "2001:db8::1"; "unknown" if there is none. */
enum { HTTP_ADDRESS_SIZE = 64 };
void http_client_address(struct http_request *r, char address[HTTP_ADDRESS_SIZE]);

/* Frees the body before the answer is due: a handler that has read it does not keep its memory while it works. */
void http_release_body(struct http_request *r);

/* There is room again for what r->take did not take. */
void http_body_resume(struct http_request *r);

/* Adds a header to the answer (both copied); before http_respond() or http_stream_begin(). */
void http_add_header(struct http_request *r, const char *name, const char *value);

/* Forgets the headers that were added: the answer will be another one. */
void http_clear_headers(struct http_request *r);

/* Adds a trailer to a stream of unknown size; before http_stream_end(). */
void http_add_trailer(struct http_request *r, const char *name, const char *value);

/* Answers with a whole body, which is taken over and left empty. The request is not the handler's any more. */
void http_respond(struct http_request *r, unsigned int status, const char *content_type, struct buffer *body);

/* Answers with a body that comes piece by piece: of `size` bytes if that is known, else HTTP_SIZE_UNKNOWN. */
#define HTTP_SIZE_UNKNOWN UINT64_MAX
void http_stream_begin_sized(struct http_request *r, unsigned int status, const char *content_type, uint64_t size);

/* Likewise, with a size that is not known. */
void http_stream_begin(struct http_request *r, unsigned int status, const char *content_type);

/* Likewise, of what is to reach the client as it is made: nobody on the way is to keep or to collect it. */
void http_stream_begin_live(struct http_request *r, unsigned int status, const char *content_type);
void http_stream_write(struct http_request *r, const void *data, size_t size);
/* Bytes that were written and have not gone out. */
size_t http_stream_backlog(const struct http_request *r);
/* That was all. The request is not the handler's any more. */
void http_stream_end(struct http_request *r);
/* Something is wrong with what was to come: the connection is closed, so that the client sees that it is not all. */
void http_stream_abort(struct http_request *r);

/*
 * Answers with 101 and the headers that were added, Upgrade among them; not to HTTP/1.0. Then the connection is the
 * handler's: `upgraded` is called with a descriptor of it, which is the callee's to close, and with what the client has
 * already sent on it. Until http_upgrade_end() gone() may be called, which that follows as well.
 */
typedef void (*http_upgraded_cb)(struct http_request *r, int fd, const char *sent, size_t n_sent);
void http_upgrade(struct http_request *r, http_upgraded_cb upgraded);

/*
 * The connection is not used any more, and its descriptor closed or about to be; what was written to it still goes to the
 * client. The request is not the handler's then.
 */
void http_upgrade_end(struct http_request *r);

#endif
