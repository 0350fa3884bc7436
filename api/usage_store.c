#include "api/usage_store.h"

#include "api/database.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum statement { BEGIN, ADD, COMMIT, ROLLBACK, FORGET, BY_POOL, BY_SESSION, BY_DAY, N_STATEMENTS };

/* `pool` ?1 is NULL for all, ?2 is the time, ?3 how many. A row that is not over has end_ms NULL. */
#define WHERE "WHERE (?1 IS NULL OR pool = ?1) AND until_ms >= ?2 "
#define SUMS                                                                                                           \
	"count(*), sum(end_ms IS NULL), min(begin_ms), max(until_ms), total(vcpu_us), total(mib_us), total(ran_us), "  \
	"sum(executions) "

static const char schema[] = "CREATE TABLE IF NOT EXISTS usage ("
			     "guid TEXT PRIMARY KEY, "
			     "pool TEXT NOT NULL COLLATE NOCASE, "
			     "identifier TEXT NOT NULL, "
			     "begin_ms INTEGER NOT NULL, "
			     "until_ms INTEGER NOT NULL, "
			     "end_ms INTEGER, "
			     "reason TEXT NOT NULL, "
			     "vcpu_us INTEGER NOT NULL, "
			     "mib_us INTEGER NOT NULL, "
			     "ran_us INTEGER NOT NULL, "
			     "executions INTEGER NOT NULL"
			     ") STRICT, WITHOUT ROWID; "
			     "CREATE INDEX IF NOT EXISTS usage_until ON usage (until_ms)";

static const char end_all[] = "UPDATE usage SET end_ms = until_ms, reason = 'it ended with its hearthd' "
			      "WHERE end_ms IS NULL";

static const char *const statements[N_STATEMENTS] = {
	[BEGIN] = "BEGIN IMMEDIATE",
	[ADD] = "INSERT INTO usage VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11) ON CONFLICT (guid) DO UPDATE "
		"SET "
		"until_ms = excluded.until_ms, end_ms = excluded.end_ms, reason = excluded.reason, "
		"vcpu_us = vcpu_us + excluded.vcpu_us, mib_us = mib_us + excluded.mib_us, "
		"ran_us = ran_us + excluded.ran_us, executions = executions + excluded.executions",
	[COMMIT] = "COMMIT",
	[ROLLBACK] = "ROLLBACK",
	[FORGET] = "DELETE FROM usage WHERE until_ms < ?1 AND end_ms IS NOT NULL",
	[BY_POOL] = "SELECT pool, '', '', '', '', " SUMS "FROM usage " WHERE "GROUP BY pool ORDER BY pool LIMIT ?3",
	[BY_SESSION] = "SELECT pool, identifier, guid, reason, '', 1, end_ms IS NULL, begin_ms, until_ms, vcpu_us, "
		       "mib_us, ran_us, executions FROM usage " WHERE "ORDER BY begin_ms DESC LIMIT ?3",
	[BY_DAY] = "SELECT '', '', '', '', strftime('%Y-%m-%d', begin_ms / 1000, 'unixepoch') AS day, " SUMS
		   "FROM usage " WHERE "GROUP BY day ORDER BY day DESC LIMIT ?3",
};

struct usage_store {
	struct database database;
};

/* A crash of the machine may cost the last records, which is less than a disk's time for each in the loop. */
static int open_database(struct usage_store *s, const char *path, struct error *err)
{
	struct database *d = &s->database;

	if (database_open(d, path, err) < 0 || database_execute(d, "PRAGMA synchronous = NORMAL", err) < 0 ||
	    database_execute(d, schema, err) < 0 || database_execute(d, end_all, err) < 0)
		return -err->code;
	sqlite3_busy_timeout(d->handle, 0); /* from now on another time will do */
	return database_prepare(d, statements, N_STATEMENTS, err);
}

struct usage_store *usage_store_open(const char *path, struct error *err)
{
	struct usage_store *s = calloc(1, sizeof(*s));

	if (!s) {
		error_set(err, ENOMEM, "out of memory");
		return NULL;
	}
	if (open_database(s, path, err) < 0) {
		usage_store_close(s);
		return NULL;
	}
	return s;
}

void usage_store_close(struct usage_store *s)
{
	if (!s)
		return;
	database_close(&s->database);
	free(s);
}

/* ---- writing ----------------------------------------------------------------------------------------------------- */

static int add(struct usage_store *s, const struct session_usage *u, struct error *err)
{
	sqlite3_stmt *row = s->database.statements[ADD];
	const uint64_t numbers[] = { u->vcpu_us, u->mib_us, u->ran_us, u->n_executions };

	sqlite3_bind_text(row, 1, u->guid, -1, SQLITE_STATIC);
	sqlite3_bind_text(row, 2, u->pool, -1, SQLITE_STATIC);
	sqlite3_bind_text(row, 3, u->identifier, -1, SQLITE_STATIC);
	sqlite3_bind_int64(row, 4, u->begin_ms);
	sqlite3_bind_int64(row, 5, u->until_ms);
	if (u->is_over)
		sqlite3_bind_int64(row, 6, u->until_ms);
	else
		sqlite3_bind_null(row, 6);
	sqlite3_bind_text(row, 7, u->reason, -1, SQLITE_STATIC);
	for (int i = 0; i < 4; i++)
		sqlite3_bind_int64(row, 8 + i, (int64_t)numbers[i]);
	return database_run(&s->database, ADD, err);
}

int usage_store_add(struct usage_store *s, const struct session_usage *usages, size_t n, struct error *err)
{
	struct error ignored;
	int rc = database_run(&s->database, BEGIN, err);

	if (rc < 0)
		return rc;
	for (size_t i = 0; i < n && rc == 0; i++)
		rc = add(s, &usages[i], err);
	if (rc == 0)
		rc = database_run(&s->database, COMMIT, err);
	if (rc < 0)
		database_run(&s->database, ROLLBACK, &ignored);
	return rc;
}

int usage_store_forget(struct usage_store *s, int64_t ms, struct error *err)
{
	sqlite3_bind_int64(s->database.statements[FORGET], 1, ms);
	return database_run(&s->database, FORGET, err);
}

/* ---- reading ----------------------------------------------------------------------------------------------------- */

static const char *text_of(sqlite3_stmt *row, int column)
{
	const unsigned char *text = sqlite3_column_text(row, column);

	return text ? (const char *)text : "";
}

static void tell(sqlite3_stmt *row, void (*each)(void *data, const struct usage_row *row), void *data)
{
	const struct usage_row r = {
		.pool = text_of(row, 0),
		.identifier = text_of(row, 1),
		.guid = text_of(row, 2),
		.reason = text_of(row, 3),
		.day = text_of(row, 4),
		.n_sessions = sqlite3_column_int64(row, 5),
		.n_open = sqlite3_column_int64(row, 6),
		.begin_ms = sqlite3_column_int64(row, 7),
		.end_ms = sqlite3_column_int64(row, 8),
		.vcpu_s = sqlite3_column_double(row, 9) / 1e6,
		.gib_s = sqlite3_column_double(row, 10) / 1e6 / 1024,
		.ran_s = sqlite3_column_double(row, 11) / 1e6,
		.n_executions = sqlite3_column_int64(row, 12),
	};

	each(data, &r);
}

int usage_store_query(struct usage_store *s, enum usage_by by, const char *pool, int64_t since_ms,
		      void (*each)(void *data, const struct usage_row *row), void *data, struct error *err)
{
	sqlite3_stmt *rows = s->database.statements[by == USAGE_BY_POOL  ? BY_POOL
						    : by == USAGE_BY_DAY ? BY_DAY
									 : BY_SESSION];
	int n = 0, step, rc;

	sqlite3_bind_text(rows, 1, pool, -1, SQLITE_STATIC); /* NULL binds NULL */
	sqlite3_bind_int64(rows, 2, since_ms);
	sqlite3_bind_int64(rows, 3, USAGE_ROWS_MAX + 1);
	while ((step = sqlite3_step(rows)) == SQLITE_ROW && n < USAGE_ROWS_MAX) {
		tell(rows, each, data);
		n++;
	}
	rc = step == SQLITE_ROW ? 1 : step == SQLITE_DONE ? 0 : database_fail(&s->database, err);
	sqlite3_reset(rows);
	sqlite3_clear_bindings(rows);
	return rc;
}
