#include "api/key_store.h"

#include "api/database.h"

#include <errno.h>
#include <stdlib.h>
#include <stdio.h>
#include <string.h>

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
	struct database database;
};

/* ---- opening ----------------------------------------------------------------------------------------------------- */

struct key_store *key_store_open(const char *path, struct error *err)
{
	struct key_store *s = calloc(1, sizeof(*s));

	if (!s) {
		error_set(err, ENOMEM, "out of memory");
		return NULL;
	}
	if (database_open(&s->database, path, err) < 0 ||
	    database_execute(&s->database, "PRAGMA synchronous = FULL", err) < 0 ||
	    database_prepare(&s->database, statements, N_STATEMENTS, err) < 0) {
		key_store_close(s);
		return NULL;
	}
	return s;
}

void key_store_close(struct key_store *s)
{
	if (!s)
		return;
	database_close(&s->database);
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
		return error_set(err, EIO, "database %s: the row of API key '%.16s' makes no sense", s->database.path,
				 key->id);
	memcpy(key->hash, sqlite3_column_blob(row, HASH), API_KEY_HASH_SIZE);
	return 0;
}

int key_store_load(struct key_store *s, void (*each)(void *data, const struct api_key *key), void *data,
		   struct error *err)
{
	sqlite3_stmt *rows = s->database.statements[LOAD];
	struct api_key key;
	int rc = 0, step;

	while ((step = sqlite3_step(rows)) == SQLITE_ROW && rc == 0) {
		rc = read_row(s, rows, &key, err);
		if (rc == 0)
			each(data, &key);
	}
	if (rc == 0 && step != SQLITE_DONE)
		rc = database_fail(&s->database, err);
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
	sqlite3_stmt *put = s->database.statements[PUT];

	bind_text(put, ID, key->id);
	bind_text(put, NAME, key->name);
	bind_text(put, ROLE, role_name(key->role));
	bind_text(put, POOLS, key->pools);
	sqlite3_bind_blob(put, HASH + 1, key->hash, API_KEY_HASH_SIZE, SQLITE_STATIC);
	bind_text(put, CREATED_BY, key->created_by);
	sqlite3_bind_int64(put, CREATED_MS + 1, key->created_ms);
	sqlite3_bind_int64(put, EXPIRES_MS + 1, key->expires_ms);
	sqlite3_bind_int64(put, LAST_USED_MS + 1, key->last_used_ms);
	return database_run(&s->database, PUT, err);
}

int key_store_delete(struct key_store *s, const char *id, struct error *err)
{
	sqlite3_bind_text(s->database.statements[DELETE], 1, id, -1, SQLITE_STATIC);
	if (database_run(&s->database, DELETE, err) < 0)
		return -err->code;
	return sqlite3_changes(s->database.handle) > 0;
}

static int touch(struct key_store *s, const struct api_key *key, struct error *err)
{
	sqlite3_bind_text(s->database.statements[TOUCH], 1, key->id, -1, SQLITE_STATIC);
	sqlite3_bind_int64(s->database.statements[TOUCH], 2, key->last_used_ms);
	return database_run(&s->database, TOUCH, err);
}

int key_store_touch(struct key_store *s, const struct api_key *const *keys, size_t n, struct error *err)
{
	int rc = database_execute(&s->database, "PRAGMA synchronous = NORMAL; BEGIN", err);

	for (size_t i = 0; i < n && rc == 0; i++)
		rc = touch(s, keys[i], err);
	if (rc == 0)
		rc = database_execute(&s->database, "COMMIT", err);
	if (rc < 0 && !sqlite3_get_autocommit(s->database.handle))
		sqlite3_exec(s->database.handle, "ROLLBACK", NULL, NULL, NULL);
	sqlite3_exec(s->database.handle, "PRAGMA synchronous = FULL", NULL, NULL, NULL);
	return rc;
}
