/* The target of a request (RFC 9112, 3.2) taken apart: path segments and query parameters, percent-decoded once. */
#ifndef HEARTH_API_URL_H
#define HEARTH_API_URL_H

#include "api/buffer.h"

#include <stddef.h>

enum {
	URL_SEGMENTS_MAX = 64,
	URL_PARAMETERS_MAX = 64,
};

struct url {
	char *storage; /* what the pointers below point into; owned */
	char *segments[URL_SEGMENTS_MAX];
	size_t n_segments;
	struct {
		char *name;
		char *value;
	} parameters[URL_PARAMETERS_MAX];
	size_t n_parameters;
};

/*
 * Splits a raw target. Empty segments are dropped, so that "//a/" is "a". In the query a "+" is a space; a "%" that no
 * two hexadecimal digits follow stands for itself, since clients send identifiers raw. -EINVAL for an encoded NUL,
 * -E2BIG for more segments or parameters than fit, -ENOMEM. Call url_fini() in every case.
 */
int url_split(struct url *u, const char *target);
void url_fini(struct url *u);

/*
 * What follows the first `n` segments of a raw target, as it stands: it begins with a slash or a question mark, or is
 * empty. A fragment is not cut off.
 */
const char *url_after_segments(const char *target, size_t n);

/* The value of the first parameter of that name, in any case; NULL if there is none. */
const char *url_parameter(const struct url *u, const char *name);

/* Appends a path segment or a query value, percent-encoded but for the unreserved characters (RFC 3986, 2.3). */
void url_put_encoded(struct buffer *out, const char *text);

#endif
