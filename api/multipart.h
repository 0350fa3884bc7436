/*
 * A multipart body (RFC 2046, RFC 7578) taken apart as it comes, without keeping more of it than a part's headers. The
 * body is hostile input, and clients differ: the boundary is the one that the body begins with, whatever the request's
 * Content-Type says, since one client sends a wrong one. Pure logic.
 */
#ifndef HEARTH_API_MULTIPART_H
#define HEARTH_API_MULTIPART_H

#include <stdbool.h>
#include <stddef.h>

enum {
	MULTIPART_BOUNDARY_MAX = 200, /* bytes; the RFC allows 70 */
	MULTIPART_HEADERS_MAX = 8192, /* bytes of the headers of one part */
};

enum multipart_event {
	MULTIPART_MORE,     /* all bytes were taken */
	MULTIPART_PART,     /* a part begins: m->headers holds its headers */
	MULTIPART_DATA,     /* m->data and m->size hold the next bytes of its content, until the next call */
	MULTIPART_PART_END, /* the part is over */
	MULTIPART_END,      /* the body is over; what follows means nothing */
	MULTIPART_INVALID,  /* it is no multipart body; m->problem says why */
};

struct multipart {
	int state;
	char delimiter[MULTIPART_BOUNDARY_MAX + 5]; /* CR LF "--" boundary NUL */
	size_t delimiter_size;
	size_t n_matched;                        /* bytes of the delimiter that are held back */
	char headers[MULTIPART_HEADERS_MAX + 1]; /* lines with CR LF, then NUL */
	size_t n_headers;
	char tail[2]; /* what followed a delimiter */
	size_t n_tail;
	const char *data;
	size_t size;
	const char *problem;
};

/* `content_type` is the request's, which names the boundary of a body that begins with something else; may be NULL. */
void multipart_init(struct multipart *m, const char *content_type);

/* Takes bytes from *data (and moves *data and *size on) until something is to be told. */
enum multipart_event multipart_next(struct multipart *m, const char **data, size_t *size);

/* True once MULTIPART_END was told. */
bool multipart_is_over(const struct multipart *m);

#endif
