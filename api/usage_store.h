/*
 * What sessions have used, one row each, in hearthd's SQLite database: a connection of its own to the file that
 * pool_store.h makes. Rows are added up in place, so that a session which goes on under a later hearthd goes on here.
 */
#ifndef HEARTH_API_USAGE_STORE_H
#define HEARTH_API_USAGE_STORE_H

#include "api/session_usage.h"
#include "common/error.h"

#include <stddef.h>
#include <stdint.h>

struct usage_store;

enum usage_by { USAGE_BY_POOL, USAGE_BY_SESSION, USAGE_BY_DAY };

enum {
	USAGE_ROWS_MAX = 1000, /* that usage_store_query() tells at most */
};

/* One row, or what rows come to together. Times are milliseconds since 1970; 0 where there is none. */
struct usage_row {
	const char *pool;       /* "" by day */
	const char *identifier; /* "" but by session; likewise the next two */
	const char *guid;
	const char *reason; /* of the session's end; "" while it goes on */
	const char *day;    /* "2026-01-31", "" but by day: on which the sessions began, UTC */
	int64_t n_sessions;
	int64_t n_open; /* of them, that go on */
	int64_t begin_ms;
	int64_t end_ms;
	double vcpu_s;
	double gib_s;
	double ran_s;
	int64_t n_executions;
};

/*
 * Opens it; every session that an earlier hearthd left open is ended as of its last record, until it is added to again.
 * NULL with *err filled.
 */
struct usage_store *usage_store_open(const char *path, struct error *err);

/* NULL is fine. */
void usage_store_close(struct usage_store *store);

/*
 * Adds what was used since the last record of each session; all or nothing. Never waits for another writer. 0, or
 * negative with *err filled (code EBUSY: somebody else is writing).
 */
int usage_store_add(struct usage_store *store, const struct session_usage *usages, size_t n, struct error *err);

/* Forgets sessions that ended before `ms`. 0, or negative with *err filled. */
int usage_store_forget(struct usage_store *store, int64_t ms, struct error *err);

/*
 * Calls `each` for pools by name, sessions or days the latest first: of sessions that existed since `since_ms`; `pool`
 * NULL is all. 1 if there would have been more than USAGE_ROWS_MAX, 0, or negative with *err filled.
 */
int usage_store_query(struct usage_store *store, enum usage_by by, const char *pool, int64_t since_ms,
		      void (*each)(void *data, const struct usage_row *row), void *data, struct error *err);

#endif
