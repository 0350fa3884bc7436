#include "api/key_store.h"

#include <errno.h>
#include <sqlite3.h>
#include <stdlib.h>
#include <stdio.h>
#include <string.h>

enum {
	BUSY_TIMEOUT_MS = 1000, /* somebody writes to it with sqlite3; the loop waits meanwhile */
};

enum statement { LOAD, PUT, DELETE, TOUCH, N_STATEMENTS };

#define COLUMNS "id, name, role, pools, hash, created_by, created_ms, expires_ms, last_used_ms"

/* As `enum column` counts them. */
enum column { ID, NAME, ROLE, POOLS, HASH, CREATED_BY, CREATED_MS, EXPIRES_MS, LAST_USED_MS };

static const char *const statements[N_STATEMENTS] = {
	[LOAD] = "SELECT " COLUMNS " FROM api_keys ORDER BY created_ms, id",
	[PUT] = "INSERT INTO api_keys (" COLUMNS ") VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
	[DELETE] = "DELETE FROM api_keys WHERE id = ?1",
	[TOUCH] = "UPDATE api_keys SET last_used_ms = ?2 WHERE id = ?1",
};

struct key_store {
	sqlite3 *database;
	char *path;
	sqlite3_stmt *statements[N_STATEMENTS];
};

static int fail(const struct key_store *s, struct error *err)
{
	return error_set(err, EIO, "database %s: %s", s->path, sqlite3_errmsg(s->database));
}

static int execute(struct key_store *s, const char *sql, struct error *err)
{
	return sqlite3_exec(s->database, sql, NULL, NULL, NULL) == SQLITE_OK ? 0 : fail(s, err);
}

static int run(struct key_store *s, enum statement which, struct error *err)
{
	sqlite3_stmt *statement = s->statements[which];
	int rc = sqlite3_step(statement) == SQLITE_DONE ? 0 : fail(s, err);

	sqlite3_reset(statement);
	sqlite3_clear_bindings(statement);
	return rc;
}

/* ---- opening ----------------------------------------------------------------------------------------------------- */

static int open_database(struct key_store *s, struct error *err)
{
	if (sqlite3_open_v2(s->path, &s->database, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX, NULL) != SQLITE_OK)
		return s->database ? fail(s, err) : error_set(err, ENOMEM, "out of memory");
	sqlite3_busy_timeout(s->database, BUSY_TIMEOUT_MS);
	if (execute(s, "PRAGMA synchronous = FULL", err) < 0)
		return -err->code;
	for (int i = 0; i < N_STATEMENTS; i++)
		if (sqlite3_prepare_v3(s->database, statements[i], -1, SQLITE_PREPARE_PERSISTENT, &s->statements[i],
				       NULL) != SQLITE_OK)
			return fail(s, err);
	return 0;
}

struct key_store *key_store_open(const char *path, struct error *err)
{
	struct key_store *s = calloc(1, sizeof(*s));

	if (s)
		s->path = strdup(path);
	if (!s || !s->path) {
		error_set(err, ENOMEM, "out of memory");
		free(s);
		return NULL;
	}
	if (open_database(s, err) < 0) {
		key_store_close(s);
		return NULL;
	}
	return s;
}

void key_store_close(struct key_store *s)
{
	if (!s)
		return;
	for (int i = 0; i < N_STATEMENTS; i++)
		sqlite3_finalize(s->statements[i]);
	sqlite3_close(s->database);
	free(s->path);
	free(s);
}

/* ---- rows -------------------------------------------------------------------------------------------------------- */

static bool copy_text(char *out, size_t size, sqlite3_stmt *row, enum column column)
{
	const unsigned char *text = sqlite3_column_text(row, (int)column);

	return text && (size_t)snprintf(out, size, "%s", (const char *)text) < size;
}

/* A list that was written by hand must mean what it says. */
static bool read_pools(struct api_key *key, sqlite3_stmt *row)
{
	char text[POOL_LIST_SIZE], *rest = text;

	if (!copy_text(text, sizeof(text), row, POOLS))
		return false;
	for (char *name = strsep(&rest, " "); name; name = strsep(&rest, " "))
		if (!pool_list_add(key->pools, name))
			return false;
	return true;
}

static int read_row(const struct key_store *s, sqlite3_stmt *row, struct api_key *key, struct error *err)
{
	const unsigned char *role = sqlite3_column_text(row, ROLE);
	int number = role ? role_from_name((const char *)role) : -1;

	*key = (struct api_key) {
		.role = (enum role)number,
		.created_ms = sqlite3_column_int64(row, CREATED_MS),
		.expires_ms = sqlite3_column_int64(row, EXPIRES_MS),
		.last_used_ms = sqlite3_column_int64(row, LAST_USED_MS),
	};
	if (number < 0 || !copy_text(key->id, sizeof(key->id), row, ID) ||
	    !copy_text(key->name, sizeof(key->name), row, NAME) ||
	    !copy_text(key->created_by, sizeof(key->created_by), row, CREATED_BY) || !read_pools(key, row) ||
	    sqlite3_column_bytes(row, HASH) != API_KEY_HASH_SIZE)
		return error_set(err, EIO, "database %s: the row of API key '%.16s' makes no sense", s->path, key->id);
	memcpy(key->hash, sqlite3_column_blob(row, HASH), API_KEY_HASH_SIZE);
	return 0;
}

int key_store_load(struct key_store *s, void (*each)(void *data, const struct api_key *key), void *data,
		   struct error *err)
{
	sqlite3_stmt *rows = s->statements[LOAD];
	struct api_key key;
	int rc = 0, step;

	while ((step = sqlite3_step(rows)) == SQLITE_ROW && rc == 0) {
		rc = read_row(s, rows, &key, err);
		if (rc == 0)
			each(data, &key);
	}
	if (rc == 0 && step != SQLITE_DONE)
		rc = fail(s, err);
	sqlite3_reset(rows);
	return rc;
}

/* Texts stay where they are until the statement has run. */
static void bind_text(sqlite3_stmt *statement, enum column column, const char *text)
{
	sqlite3_bind_text(statement, (int)column + 1, text, -1, SQLITE_STATIC);
}

int key_store_put(struct key_store *s, const struct api_key *key, struct error *err)
{
	sqlite3_stmt *put = s->statements[PUT];

	bind_text(put, ID, key->id);
	bind_text(put, NAME, key->name);
	bind_text(put, ROLE, role_name(key->role));
	bind_text(put, POOLS, key->pools);
	sqlite3_bind_blob(put, HASH + 1, key->hash, API_KEY_HASH_SIZE, SQLITE_STATIC);
	bind_text(put, CREATED_BY, key->created_by);
	sqlite3_bind_int64(put, CREATED_MS + 1, key->created_ms);
	sqlite3_bind_int64(put, EXPIRES_MS + 1, key->expires_ms);
	sqlite3_bind_int64(put, LAST_USED_MS + 1, key->last_used_ms);
	return run(s, PUT, err);
}

int key_store_delete(struct key_store *s, const char *id, struct error *err)
{
	sqlite3_bind_text(s->statements[DELETE], 1, id, -1, SQLITE_STATIC);
	if (run(s, DELETE, err) < 0)
		return -err->code;
	return sqlite3_changes(s->database) > 0;
}

static int touch(struct key_store *s, const struct api_key *key, struct error *err)
{
	sqlite3_bind_text(s->statements[TOUCH], 1, key->id, -1, SQLITE_STATIC);
	sqlite3_bind_int64(s->statements[TOUCH], 2, key->last_used_ms);
	return run(s, TOUCH, err);
}

int key_store_touch(struct key_store *s, const struct api_key *const *keys, size_t n, struct error *err)
{
	int rc = execute(s, "PRAGMA synchronous = NORMAL; BEGIN", err);

	for (size_t i = 0; i < n && rc == 0; i++)
		rc = touch(s, keys[i], err);
	if (rc == 0)
		rc = execute(s, "COMMIT", err);
	if (rc < 0 && !sqlite3_get_autocommit(s->database))
		sqlite3_exec(s->database, "ROLLBACK", NULL, NULL, NULL);
	sqlite3_exec(s->database, "PRAGMA synchronous = FULL", NULL, NULL, NULL);
	return rc;
}
