/* hearthd as the command sees it: where it is, how it is entered, and the requests that the command makes. */
#ifndef HEARTH_API_CLI_SERVICE_H
#define HEARTH_API_CLI_SERVICE_H

#include "common/error.h"
#include "source.h"
#include "sse.h"

#include <jansson.h>
#include <stdbool.h>
#include <stdio.h>

struct service;

/*
 * `url`, `token` and `ca_certificate` (a file) come from the command line, or are NULL: then the environment decides,
 * and after it the defaults (docs/cli.md has the order). They must live as long as the service. `pool` is the one whose
 * sessions are meant; NULL: the default one. NULL with *err set if they cannot be used.
 */
struct service *service_create(const char *url, const char *token, const char *ca_certificate, const char *pool,
			       struct error *err);

void service_destroy(struct service *s);

const char *service_url(const struct service *s);

/*
 * Runs one piece of code in a session and hands over its events as they come. `timeout_s` 0 leaves the limit to the
 * service. 0 when the stream of events came to its end, or negative with *err set (STATUS_USAGE if the request itself
 * was refused). If on_event ends it, its value is returned and *err left alone. A signal ends it, too: look at
 * interrupt_signal().
 */
int service_execute(struct service *s, const char *session, const struct source *source, long timeout_s,
		    sse_event_fn *on_event, void *context, struct error *err);

/*
 * Runs a notebook's JSON text in a session, likewise. `allow_errors`: a cell that fails does not end the run. `timeout_s`
 * is of each cell.
 */
int service_run_notebook(struct service *s, const char *session, const char *notebook, bool allow_errors,
			 long timeout_s, sse_event_fn *on_event, void *context, struct error *err);

/* Ends a session. Nobody waits for the outcome, so there is none: a session that stays ends by its idle time. */
void service_end_session(struct service *s, const char *session);

/*
 * The path of a route of the pool. `parameters` are names, each followed by its value, then NULL; or it is NULL. The
 * caller frees it; NULL if there is no memory.
 */
char *service_route(const struct service *s, const char *route, const char *const *parameters);

/* Likewise, for `route` with the name of a file in it, where it has "%s". */
char *service_file_route(const struct service *s, const char *route, const char *file, const char *const *parameters);

/*
 * One call with JSON in and out. `path` follows the service's address and may have a query; NULL, which service_route()
 * makes of a lack of memory, is reported as such. `body` may be NULL. 0 with *answer owned by the caller (NULL if the
 * service answered nothing), or negative with *err set: STATUS_NOT_FOUND if there is no such thing, STATUS_USAGE if the
 * service refused it.
 */
int service_call(struct service *s, const char *method, const char *path, const json_t *body, json_t **answer,
		 struct error *err);

/*
 * Uploads the file at `file` to a path as multipart/form-data under the name `name`, streamed. Otherwise as
 * service_call().
 */
int service_upload(struct service *s, const char *path, const char *file, const char *name, json_t **answer,
		   struct error *err);

/* Writes what a path holds to `out`, as it comes. 0, or negative with *err set as by service_call(). */
int service_download(struct service *s, const char *path, FILE *out, struct error *err);

/* A line without its end, which is followed by a 0 byte. Negative ends the request. */
typedef int service_line_fn(void *context, const char *line, size_t size);

/*
 * Hands over the lines of a path's answer, which is asked for as application/x-ndjson, as they come. With `may_be_silent`
 * there may be any time between two. 0 when the answer came to its end, or negative with *err set as by service_call(); if
 * on_line ends it, its value is returned and *err left alone. A signal ends it, too: look at interrupt_signal().
 */
int service_read_lines(struct service *s, const char *path, bool may_be_silent, service_line_fn *on_line, void *context,
		       struct error *err);

#endif
