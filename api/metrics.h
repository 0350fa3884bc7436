/*
 * What this process has counted since it began: any part may count, rest_metrics.c shows it. One set for the process,
 * used by the loop's thread alone. Nothing here has a session's name: the number of series is bounded.
 */
#ifndef HEARTH_API_METRICS_H
#define HEARTH_API_METRICS_H

#include "api/execution.h"
#include "api/metrics_text.h"

#include <stdint.h>

/* Why something that was asked for was not done. */
enum metrics_error {
	METRICS_POOL_FULL,         /* 429: all sessions of the pool are taken */
	METRICS_QUEUE_FULL,        /* 429: too many executions wait in the session */
	METRICS_TOO_FAST,          /* 429: more requests a minute than the pool's limits allow */
	METRICS_STOPPING,          /* the service is ending */
	METRICS_ALLOCATION_FAILED, /* a session's machine could not be started */
	METRICS_SESSION_LOST,      /* a session's machine ended without being asked to */
	METRICS_STOCK_LOST,        /* likewise one that was being kept ready */
	METRICS_EXECUTION_TIMEOUT,
	METRICS_INTERPRETER_LOST, /* the code's process died: exit, signal, out of memory */
	METRICS_UNAUTHORIZED,     /* 401 and 403 */
	METRICS_N_ERRORS,
};

/* What a request was about. */
enum metrics_route {
	METRICS_ROUTE_NONE, /* no such path, or no request that can be understood */
	METRICS_ROUTE_EXECUTION,
	METRICS_ROUTE_SESSION,
	METRICS_ROUTE_FILE,
	METRICS_ROUTE_TEMPLATE,
	METRICS_ROUTE_POOL,
	METRICS_ROUTE_MONITORING,
	METRICS_ROUTE_OTHER,
	METRICS_N_ROUTES,
};

void metrics_count_error(enum metrics_error reason);

/* `status` 0: the client went before there was an answer. */
void metrics_count_request(enum metrics_route route, unsigned int status);

/* The word for it, as in labels. */
const char *metrics_language_name(enum agent_language language);

/* How an execution ended, in a word. */
const char *metrics_execution_status(const struct execution_report *report);

/* An execution is over; its time counts if the code ran. */
void metrics_count_execution(enum agent_language language, const struct execution_report *report);

/* A session's machine came from there, for an execution that waited so long for it. */
void metrics_observe_allocation(enum session_source source, uint64_t us);

void metrics_count_session(enum session_source source);

/* A session's connection has ended or was denied; `n_more` were denied and not logged. Bytes of payload. */
void metrics_count_connection(bool is_allowed, uint64_t n_more, uint64_t n_sent, uint64_t n_received);

/* Sessions that are over and whose machine is still going: one more (1) or one less (-1). */
void metrics_count_ending(int change);

/* Appends all of it. */
void metrics_put(struct metrics_text *t);

#endif
