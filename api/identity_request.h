/*
 * What a guest asks of its identity endpoint, by the protocol of Azure's managed identities:
 *
 *     GET /msi/token?resource=…&api-version=2019-08-01 HTTP/1.1
 *     X-IDENTITY-HEADER: the session's secret
 *
 * One request a connection. The bytes come from a guest: nothing in them is believed.
 */
#ifndef HEARTH_API_IDENTITY_REQUEST_H
#define HEARTH_API_IDENTITY_REQUEST_H

#include "api/buffer.h"

#include <stddef.h>
#include <stdint.h>

enum {
	IDENTITY_HEAD_MAX = 8 << 10,     /* bytes of a request line and its headers */
	IDENTITY_RESOURCE_MAX = 2 << 10, /* bytes of a resource */
	IDENTITY_SECRET_SIZE = 64,       /* characters of a session's secret */
};

struct identity_request {
	char resource[IDENTITY_RESOURCE_MAX + 1];
};

/*
 * Takes apart the first `size` bytes of a connection and compares its X-IDENTITY-HEADER with `secret`
 * (IDENTITY_SECRET_SIZE characters and NUL) in constant time. But for the head's size and NUL bytes nothing is looked at
 * before the secret, so that who does not have it learns nothing. 0 if the head is not complete, else an HTTP status:
 * 200 with *request filled, or what to refuse it with and *problem, a sentence that holds nothing of the request.
 */
unsigned int identity_request_parse(struct identity_request *request, const char *data, size_t size, const char *secret,
				    const char **problem);

/* Appends the answer, head and all, that hands over a token until `expires_on` (seconds since 1970). */
void identity_answer_put_token(struct buffer *out, const char *token, int64_t expires_on, const char *resource);

/* Appends the answer that refuses with a status of 400 or above. */
void identity_answer_put_problem(struct buffer *out, unsigned int status, const char *problem);

#endif
