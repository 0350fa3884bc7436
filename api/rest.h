/* What the resources of the REST API share: the parts that they call, and their answers for errors. */
#ifndef HEARTH_API_REST_H
#define HEARTH_API_REST_H

#include "api/auth.h"
#include "api/http_request.h"
#include "api/mcp_environment.h"
#include "api/mcp_key.h"
#include "api/pool_store.h"
#include "api/pools.h"
#include "api/template.h"

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

struct image_manifest;
struct usage;
struct usage_store;
struct mcp_exchange;

struct service {
	uv_loop_t *loop;
	struct auth auth;
	struct pools *pools;
	struct templates *templates; /* the users' own, and the built-in ones */
	struct pool_store *store;
	struct image_manifest *image_manifest; /* NULL: none was found */
	struct usage_store *usage_store;
	struct usage *usage;
	struct mcp_keys *mcp_keys;
	struct mcp_environments mcp_environments;
	struct mcp_exchange *mcp_exchanges; /* that are not answered */
	const char *mcp_origins; /* of web pages that may use MCP servers, with spaces between; NULL: loopback's */
	struct pool_limits pool_limits;
	uint32_t default_timeout_s; /* of an execution that names none */
	uint32_t max_timeout_s;
	uint64_t output_limit;            /* bytes of each of stdout and stderr */
	uint64_t file_size_max;           /* bytes of a file that is uploaded */
	uint64_t started_ns;              /* of uv_hrtime() */
	int64_t started_ms;               /* of CLOCK_REALTIME */
	uint64_t proxy_start_timeout_ms;  /* a request waits so long for its session's machine */
	uint64_t proxy_answer_timeout_ms; /* and so long for its container to begin to answer */
	bool is_metrics_open;             /* they are shown without a token */
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

/* The database failed, as `err` of its store says: the client learns what it can do, the log the rest. */
void rest_storage_error(struct http_request *r, const struct error *err);

/* 400 with application/problem+json: the body does not parse. `field` names where, "$" for the whole. */
void rest_problem(struct http_request *r, const char *field, const char *message);

/* Answers with a JSON value, which is taken over; 500 if it is NULL, for lack of memory. */
void rest_json(struct http_request *r, unsigned int status, json_t *json);

/* The body's JSON object, to be released with json_decref(). NULL, after an answer was given, if it is none. */
json_t *rest_body(struct http_request *r);

/* The pool of the request's path, else the default one. NULL, after an answer was given, if there is no such pool. */
struct pool *rest_pool(struct service *s, struct http_request *r);

/* Answers for an error of the functions in session.h: the status, the code and Retry-After that belong to it. */
void rest_session_error(struct http_request *r, const struct sessions *sessions, const struct error *err);

/* A session as the API shows it; NULL if there is no memory. */
json_t *rest_session_json(const struct session_info *info);

/*
 * The session identifier of a request: of the query, else of the path. NULL, after an answer was given, if there is
 * none (and `body_identifier` is NULL too) or if it is no identifier.
 */
const char *rest_identifier(struct http_request *r, const char *body_identifier);

/* True if a text has no characters but printable ones of ASCII. */
bool rest_is_printable(const char *text);

/* True if the api-version is absent or looks like one; else false, after an answer was given. */
bool rest_check_version(struct http_request *r);

/* The handlers, in rest_<resource>.c. */
void rest_health_get(struct service *s, struct http_request *r);
void rest_metrics_get(struct service *s, struct http_request *r);
void rest_metadata_get(struct service *s, struct http_request *r);
void rest_openapi_get(struct service *s, struct http_request *r);
void rest_usage_get(struct service *s, struct http_request *r);
void rest_execute_legacy(struct service *s, struct http_request *r);
void rest_execute_new(struct service *s, struct http_request *r);
void rest_notebook_run(struct service *s, struct http_request *r);
void rest_operation_get(struct service *s, struct http_request *r);
void rest_operation_cancel(struct service *s, struct http_request *r);

void rest_session_get(struct service *s, struct http_request *r);
void rest_session_delete(struct service *s, struct http_request *r);
void rest_session_list(struct service *s, struct http_request *r);
void rest_management_get_session(struct service *s, struct http_request *r);
void rest_management_list_sessions(struct service *s, struct http_request *r);
void rest_management_stop_session(struct service *s, struct http_request *r);
void rest_session_fork(struct service *s, struct http_request *r);
void rest_session_suspend(struct service *s, struct http_request *r);
void rest_session_resume(struct service *s, struct http_request *r);
void rest_session_logs(struct service *s, struct http_request *r);

void rest_files_list(struct service *s, struct http_request *r);
void rest_files_get(struct service *s, struct http_request *r);
void rest_files_delete(struct service *s, struct http_request *r);
void rest_files_download(struct service *s, struct http_request *r);
/* These are called when the headers are there; when all of the body was taken, the last one is. */
void rest_upload_legacy(struct service *s, struct http_request *r);
void rest_upload_new(struct service *s, struct http_request *r);
void rest_upload_complete(struct http_request *r);

void rest_template_list(struct service *s, struct http_request *r);
void rest_template_get(struct service *s, struct http_request *r);
void rest_template_put(struct service *s, struct http_request *r);
void rest_template_delete(struct service *s, struct http_request *r);

void rest_key_list(struct service *s, struct http_request *r);
void rest_key_get(struct service *s, struct http_request *r);
void rest_key_post(struct service *s, struct http_request *r);
void rest_key_delete(struct service *s, struct http_request *r);

void rest_arm_get_provider(struct service *s, struct http_request *r);
void rest_arm_get_environment(struct service *s, struct http_request *r);
void rest_arm_get_operation(struct service *s, struct http_request *r);
void rest_arm_put_role_assignment(struct service *s, struct http_request *r);

void rest_pool_list(struct service *s, struct http_request *r);
void rest_mcp_post(struct service *s, struct http_request *r);
void rest_mcp_delete(struct service *s, struct http_request *r);
void rest_mcp_fetch_key(struct service *s, struct http_request *r);
void rest_mcp_rotate_key(struct service *s, struct http_request *r);

/* True, with *principal filled, if `given` is the key of the MCP server of the request's pool. */
bool rest_mcp_identify(struct service *s, const struct http_request *r, const char *given, struct principal *principal);

void rest_pool_get(struct service *s, struct http_request *r);
void rest_pool_put(struct service *s, struct http_request *r);
void rest_pool_patch(struct service *s, struct http_request *r);
void rest_pool_delete(struct service *s, struct http_request *r);

#endif
