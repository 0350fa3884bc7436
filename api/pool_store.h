/*
 * What hearthd keeps across restarts, in an SQLite database: the pools that were created. The only part that knows SQL.
 * Calls are synchronous: a write is one small transaction, which management calls alone make.
 */
#ifndef HEARTH_API_POOL_STORE_H
#define HEARTH_API_POOL_STORE_H

#include "api/pool_definition.h"
#include "common/error.h"

#include <stdint.h>

enum {
	POOL_LOCATION_MAX = 63, /* characters */
	POOL_LOCATION_SIZE = 4 * POOL_LOCATION_MAX + 1,
	POOL_TAGS_SIZE = 4096,
};

/* A definition with what else its creator wants to find again. */
struct pool_record {
	struct pool_definition definition;
	char location[POOL_LOCATION_SIZE]; /* "westus2"; means nothing here */
	char tags[POOL_TAGS_SIZE];         /* the text of a JSON object */
	int64_t created_ms;                /* since 1970, UTC */
	int64_t modified_ms;
};

struct pool_store;

/*
 * Opens the database, or makes one, readable for its owner only; brings an older schema up to date. NULL with *err
 * filled (code EIO, if it is damaged or of a newer version: EPROTO) on failure.
 */
struct pool_store *pool_store_open(const char *path, struct error *err);

/* NULL is fine. */
void pool_store_close(struct pool_store *store);

/* Calls `each` with every pool, by name. A row that makes no sense is an error. 0, or negative with *err filled. */
int pool_store_load(struct pool_store *store, void (*each)(void *data, const struct pool_record *record), void *data,
		    struct error *err);

/* 1 with *record filled, 0 if there is no pool of that name, negative with *err filled. */
int pool_store_get(struct pool_store *store, const char *name, struct pool_record *record, struct error *err);

/* Keeps the pool, in place of one of that name; *record is as it should be. On disk when it returns 0. */
int pool_store_put(struct pool_store *store, const struct pool_record *record, struct error *err);

/* 1 if there was a pool of that name, 0 if not, negative with *err filled. */
int pool_store_delete(struct pool_store *store, const char *name, struct error *err);

#endif
