#include "api/database.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum {
	BUSY_TIMEOUT_MS = 1000, /* somebody writes to it with sqlite3; the loop waits meanwhile */
};

int database_open(struct database *d, const char *path, struct error *err)
{
	*d = (struct database) { .path = strdup(path) };
	if (!d->path)
		return error_set(err, ENOMEM, "out of memory");
	if (sqlite3_open_v2(path, &d->handle, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX, NULL) != SQLITE_OK)
		return d->handle ? database_fail(d, err) : error_set(err, ENOMEM, "out of memory");
	sqlite3_busy_timeout(d->handle, BUSY_TIMEOUT_MS);
	return 0;
}

void database_close(struct database *d)
{
	for (int i = 0; i < DATABASE_STATEMENTS_MAX; i++)
		sqlite3_finalize(d->statements[i]);
	sqlite3_close(d->handle);
	free(d->path);
	*d = (struct database) { 0 };
}

int database_prepare(struct database *d, const char *const *statements, int n_statements, struct error *err)
{
	for (int i = 0; i < n_statements; i++)
		if (sqlite3_prepare_v3(d->handle, statements[i], -1, SQLITE_PREPARE_PERSISTENT, &d->statements[i],
				       NULL) != SQLITE_OK)
			return database_fail(d, err);
	return 0;
}

int database_fail(const struct database *d, struct error *err)
{
	int code = sqlite3_errcode(d->handle);

	if (code == SQLITE_CORRUPT || code == SQLITE_NOTADB)
		return error_set(err, EIO,
				 "database %s is damaged (%s): put back a copy, or move it away to begin anew", d->path,
				 sqlite3_errmsg(d->handle));
	if (code == SQLITE_FULL || sqlite3_system_errno(d->handle) == ENOSPC)
		return error_set(err, ENOSPC, "database %s: its disk is full: make room there", d->path);
	return error_set(err, code == SQLITE_BUSY ? EBUSY : EIO, "database %s: %s", d->path, sqlite3_errmsg(d->handle));
}

int database_execute(struct database *d, const char *sql, struct error *err)
{
	return sqlite3_exec(d->handle, sql, NULL, NULL, NULL) == SQLITE_OK ? 0 : database_fail(d, err);
}

int database_run(struct database *d, int statement, struct error *err)
{
	int rc = sqlite3_step(d->statements[statement]) == SQLITE_DONE ? 0 : database_fail(d, err);

	sqlite3_reset(d->statements[statement]);
	sqlite3_clear_bindings(d->statements[statement]);
	return rc;
}
