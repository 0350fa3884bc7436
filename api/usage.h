/*
 * Collects what sessions have used and writes it down: soon after a session's end and every few minutes, together, and
 * not while a request is served. What cannot be written now is kept for the next time.
 */
#ifndef HEARTH_API_USAGE_H
#define HEARTH_API_USAGE_H

#include "api/pools.h"
#include "api/usage_store.h"

#include <uv.h>

struct usage;

struct usage_settings {
	uint64_t interval_ms; /* between two records of a session that goes on */
	uint64_t keep_ms;     /* for how long what ended is remembered; 0: for ever */
};

/* `store` must live longer. NULL if there is no memory. */
struct usage *usage_create(uv_loop_t *loop, struct usage_store *store, const struct usage_settings *settings);

/* What sessions_settings.used is for; data is the struct usage. */
void usage_take(void *usage, const struct session_usage *u);

/* Begins the records of sessions that go on: those of `pools`, which must live until usage_destroy(). */
void usage_watch(struct usage *usage, struct pools *pools);

/* Asks all sessions for what they used, and writes all of it. 0, or negative with *err filled. */
int usage_flush(struct usage *usage, struct error *err);

/* Writes what is left, and frees it in the loop. NULL is fine. */
void usage_destroy(struct usage *usage);

#endif
