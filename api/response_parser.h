/*
 * An HTTP/1 response as it comes from a container (RFC 9112), taken apart. Pure logic: no sockets. The container is
 * hostile: what could be understood in two ways is refused, also where the RFC lets a recipient guess: lines that end
 * with a bare LF, folded lines, two lengths, transfer codings other than chunked, control characters.
 */
#ifndef HEARTH_API_RESPONSE_PARSER_H
#define HEARTH_API_RESPONSE_PARSER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
	RESPONSE_HEAD_MAX = 32 << 10, /* bytes of status line and headers; likewise of all trailers */
	RESPONSE_HEADERS_MAX = 100,   /* and as many trailers */
	RESPONSE_CHUNK_LINE_MAX = 256,
	RESPONSE_INTERIM_MAX = 16, /* responses 1xx before the final one */
};

enum response_event {
	RESPONSE_MORE,    /* all bytes were taken and more are needed */
	RESPONSE_HEAD,    /* status, headers and length are there; of an interim response nothing is told */
	RESPONSE_DATA,    /* data and n_data are a piece of the body */
	RESPONSE_END,     /* it is complete; the headers are its trailers. What follows was not taken */
	RESPONSE_INVALID, /* it cannot be understood: `problem` says why; nothing more is to be fed */
};

struct response_header {
	const char *name, *value;
};

#define RESPONSE_LENGTH_UNKNOWN UINT64_MAX

/* Zeroed at first, but for `is_to_head`. */
struct response_parser {
	bool is_to_head; /* set by the caller: the request was HEAD, so there is no body */

	/* valid from RESPONSE_HEAD to the call after it */
	unsigned int status; /* 200 to 599, or 101 */
	struct response_header headers[RESPONSE_HEADERS_MAX];
	size_t n_headers;

	uint64_t length;     /* of the body, or of what GET would have had; or RESPONSE_LENGTH_UNKNOWN */
	bool is_kept_alive;  /* after the end another request may be sent */
	const char *problem; /* of RESPONSE_INVALID: the rest of a sentence about the response */
	const char *data;    /* of RESPONSE_DATA, in what was fed */
	size_t n_data;

	/* the parser's */
	unsigned int state;
	unsigned int n_interim;
	bool has_begun; /* a byte of it came */
	bool is_11;
	bool is_chunked;
	bool has_length;
	bool has_close;
	uint64_t left; /* of the body or of the chunk */
	size_t n_digits;
	size_t n_line; /* of a chunk's line */
	size_t line;   /* where the present one begins in `text` */
	size_t n_text;
	char text[RESPONSE_HEAD_MAX];
};

/* Takes bytes from *data (and moves *data and *size on) up to the next event. After 101 the rest is left untouched. */
enum response_event response_parser_next(struct response_parser *p, const char **data, size_t *size);

/*
 * The connection was closed: RESPONSE_END if that is the end of the body, else RESPONSE_INVALID. Before the first byte
 * (has_begun) the container may just have closed a connection that was idle.
 */
enum response_event response_parser_close(struct response_parser *p);

/* Makes it ready for another response. */
void response_parser_reset(struct response_parser *p, bool is_to_head);

/* The first header of that name in any case, or NULL; while `headers` are valid. */
const char *response_header(const struct response_parser *p, const char *name);

#endif
