/*
 * A connection to hearthd's SQLite file: its statements, prepared once, and its errors. What the tables hold is the stores'
 * (pool_store.h, key_store.h, usage_store.h), which have a connection each. Calls are synchronous.
 */
#ifndef HEARTH_API_DATABASE_H
#define HEARTH_API_DATABASE_H

#include "common/error.h"

#include <sqlite3.h>

enum {
	DATABASE_STATEMENTS_MAX = 8,
};

struct database {
	sqlite3 *handle;
	char *path; /* owned */
	sqlite3_stmt *statements[DATABASE_STATEMENTS_MAX];
};

/*
 * Opens the file, which must exist. A call waits up to a second for another writer. 0, or negative with *err filled;
 * database_close() is due in either case.
 */
int database_open(struct database *d, const char *path, struct error *err);

/* Zeroed or closed is fine. */
void database_close(struct database *d);

/* Prepares statement i of the list as d->statements[i]; at most DATABASE_STATEMENTS_MAX. 0, or negative with *err filled. */
int database_prepare(struct database *d, const char *const *statements, int n_statements, struct error *err);

/* What SQLite says of the last call, in *err: negative, with code EBUSY if another writer was in the way, else EIO. */
int database_fail(const struct database *d, struct error *err);

/* Runs SQL that yields no rows. 0, or negative with *err filled. */
int database_execute(struct database *d, const char *sql, struct error *err);

/* Runs a prepared statement that yields no rows, and forgets what was bound to it. 0, or negative with *err filled. */
int database_run(struct database *d, int statement, struct error *err);

#endif
