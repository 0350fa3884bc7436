/* What the resources of the REST API share: the parts that they call, and their answers for errors. */
#ifndef HEARTH_API_REST_H
#define HEARTH_API_REST_H

#include "api/auth.h"
#include "api/http_request.h"
#include "api/pools.h"
#include "api/template.h"

#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

struct service {
	uv_loop_t *loop;
	struct auth auth;
	struct pools *pools;
	struct templates *templates;
	uint32_t default_timeout_s; /* of an execution that names none */
	uint32_t max_timeout_s;
	uint64_t output_limit; /* bytes of each of stdout and stderr */
	uint64_t started_ns;
	bool is_stopping;
};

#define REST_JSON "application/json; charset=utf-8"

enum {
	REST_IDENTIFIER_MAX = 256, /* bytes */
};

/* Answers with the error body of the API: {"error":{"code","message",…}} and x-ms-error-code. */
void rest_error(struct http_request *r, unsigned int status, const char *code, const char *format, ...)
	__attribute__((format(printf, 4, 5)));

/* Appends that body, for an error that is told in another way than by an answer of its own. */
void rest_put_error(struct buffer *body, const char *code, const char *message);

/* Like rest_error(), with top-level code and message as well, since clients differ in where they look, and Retry-After. */
void rest_error_retry(struct http_request *r, unsigned int status, const char *code, unsigned int retry_after_s,
		      const char *message);

/* 400 with application/problem+json: the body does not parse. `field` names where, "$" for the whole. */
void rest_problem(struct http_request *r, const char *field, const char *message);

/* The pool of the request's path, else the default one. NULL, after an answer was given, if there is no such pool. */
struct pool *rest_pool(struct service *s, struct http_request *r);

/*
 * The session identifier of a request: of the query, else of the path. NULL, after an answer was given, if there is
 * none (and `body_identifier` is NULL too) or if it is no identifier.
 */
const char *rest_identifier(struct http_request *r, const char *body_identifier);

/* True if the api-version is absent or looks like one; else false, after an answer was given. */
bool rest_check_version(struct http_request *r);

/* The handlers, in rest_<resource>.c. */
void rest_health_get(struct service *s, struct http_request *r);
void rest_execute_legacy(struct service *s, struct http_request *r);
void rest_execute_new(struct service *s, struct http_request *r);
void rest_session_delete(struct service *s, struct http_request *r);
void rest_session_stop(struct service *s, struct http_request *r);

#endif
