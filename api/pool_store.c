#include "api/pool_store.h"

#include "api/database.h"
#include "common/cleanup.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

enum {
	APPLICATION_ID = 0x48727468, /* "Hrth": tells our file from another program's */
};

enum statement { LOAD, GET, PUT, DELETE, N_STATEMENTS };

#define COLUMNS                                                                                                        \
	"name, template_name, container_type, lifecycle, network, max_concurrent_sessions, ready_session_instances, "  \
	"cooldown_s, max_alive_s, cpu_milli, memory_mib, location, tags, created_ms, modified_ms, mcp_is_enabled, "    \
	"mcp_key_is_disabled, max_file_mib, limit_processes, limit_disk_mib, limit_execution_s, limit_output_bytes, "  \
	"limit_session_rate, limit_pool_rate, identity, identity_is_offered, "                                         \
	"egress_is_denied, egress_lines, container_template, secrets"

/* As `enum column` counts them. */
enum column {
	NAME,
	TEMPLATE_NAME,
	CONTAINER_TYPE,
	LIFECYCLE,
	NETWORK,
	MAX_CONCURRENT_SESSIONS,
	READY_SESSION_INSTANCES,
	COOLDOWN_S,
	MAX_ALIVE_S,
	CPU_MILLI,
	MEMORY_MIB,
	LOCATION,
	TAGS,
	CREATED_MS,
	MODIFIED_MS,
	MCP_IS_ENABLED,
	MCP_KEY_IS_DISABLED,
	MAX_FILE_MIB,
	LIMIT_PROCESSES,
	LIMIT_DISK_MIB,
	LIMIT_EXECUTION_S,
	LIMIT_OUTPUT_BYTES,
	LIMIT_SESSION_RATE,
	LIMIT_POOL_RATE,
	IDENTITY,
	IDENTITY_IS_OFFERED,
	EGRESS_IS_DENIED,
	EGRESS_LINES,
	CONTAINER_TEMPLATE,
	SECRETS,
};

static const char *const statements[N_STATEMENTS] = {
	[LOAD] = "SELECT " COLUMNS " FROM pools ORDER BY name",
	[GET] = "SELECT " COLUMNS " FROM pools WHERE name = ?1",
	[PUT] = "REPLACE INTO pools (" COLUMNS ") VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, "
		"?15, ?16, ?17, ?18, ?19, ?20, ?21, ?22, ?23, ?24, ?25, ?26, ?27, ?28, ?29, ?30)",
	[DELETE] = "DELETE FROM pools WHERE name = ?1",
};

/* What makes a database of version i one of version i + 1. A line here is never changed, only followed by another. */
static const char *const migrations[] = {
	"CREATE TABLE pools ("
	"name TEXT PRIMARY KEY COLLATE NOCASE, "
	"template_name TEXT NOT NULL, "
	"container_type TEXT NOT NULL, "
	"lifecycle TEXT NOT NULL, "
	"network TEXT NOT NULL, "
	"max_concurrent_sessions INTEGER NOT NULL, "
	"ready_session_instances INTEGER NOT NULL, "
	"cooldown_s INTEGER NOT NULL, "
	"max_alive_s INTEGER NOT NULL, "
	"vcpus INTEGER NOT NULL, "
	"memory_mib INTEGER NOT NULL, "
	"location TEXT NOT NULL, "
	"tags TEXT NOT NULL, "
	"created_ms INTEGER NOT NULL, "
	"modified_ms INTEGER NOT NULL"
	") STRICT, WITHOUT ROWID",
	"CREATE TABLE api_keys ("
	"id TEXT PRIMARY KEY, "
	"name TEXT NOT NULL, "
	"role TEXT NOT NULL, "
	"pools TEXT NOT NULL, "
	"hash BLOB NOT NULL, "
	"created_by TEXT NOT NULL, "
	"created_ms INTEGER NOT NULL, "
	"expires_ms INTEGER NOT NULL, "
	"last_used_ms INTEGER NOT NULL"
	") STRICT, WITHOUT ROWID",
	"ALTER TABLE pools ADD COLUMN mcp_is_enabled INTEGER NOT NULL DEFAULT 0; "
	"ALTER TABLE pools ADD COLUMN mcp_key_is_disabled INTEGER NOT NULL DEFAULT 0; "
	"UPDATE pools SET mcp_is_enabled = 1 WHERE name = '" POOL_DEFAULT_NAME "'; "
	"CREATE TABLE mcp_keys ("
	"pool TEXT PRIMARY KEY COLLATE NOCASE, "
	"salt BLOB NOT NULL"
	") STRICT, WITHOUT ROWID",
	"ALTER TABLE pools ADD COLUMN max_file_mib INTEGER NOT NULL DEFAULT 0",
	"ALTER TABLE pools ADD COLUMN identity TEXT NOT NULL DEFAULT ''; "
	"ALTER TABLE pools ADD COLUMN identity_is_offered INTEGER NOT NULL DEFAULT 0",
	"ALTER TABLE pools RENAME COLUMN vcpus TO cpu_milli; "
	"UPDATE pools SET cpu_milli = cpu_milli * 1000; "
	"ALTER TABLE pools ADD COLUMN limit_processes INTEGER NOT NULL DEFAULT 0; "
	"ALTER TABLE pools ADD COLUMN limit_disk_mib INTEGER NOT NULL DEFAULT 0; "
	"ALTER TABLE pools ADD COLUMN limit_execution_s INTEGER NOT NULL DEFAULT 0; "
	"ALTER TABLE pools ADD COLUMN limit_output_bytes INTEGER NOT NULL DEFAULT 0; "
	"ALTER TABLE pools ADD COLUMN limit_session_rate INTEGER NOT NULL DEFAULT 0; "
	"ALTER TABLE pools ADD COLUMN limit_pool_rate INTEGER NOT NULL DEFAULT 0",
	"ALTER TABLE pools ADD COLUMN egress_is_denied INTEGER NOT NULL DEFAULT 0; "
	"ALTER TABLE pools ADD COLUMN egress_lines TEXT NOT NULL DEFAULT ''",
	"ALTER TABLE pools ADD COLUMN container_template TEXT NOT NULL DEFAULT ''; "
	"ALTER TABLE pools ADD COLUMN secrets TEXT NOT NULL DEFAULT ''",
};

enum {
	SCHEMA_VERSION = sizeof(migrations) / sizeof(migrations[0]),
};

struct pool_store {
	struct database database;
};

/* ---- opening ----------------------------------------------------------------------------------------------------- */

/* Runs a statement that yields one value. */
static int query_integer(struct pool_store *s, const char *sql, int64_t *value, struct error *err)
{
	sqlite3_stmt *statement = NULL;
	int rc = 0;

	if (sqlite3_prepare_v2(s->database.handle, sql, -1, &statement, NULL) != SQLITE_OK ||
	    sqlite3_step(statement) != SQLITE_ROW)
		rc = database_fail(&s->database, err);
	else
		*value = sqlite3_column_int64(statement, 0);
	sqlite3_finalize(statement);
	return rc;
}

/* Looks at every page: a database of a few pools has a few. */
static int check_whole(struct pool_store *s, struct error *err)
{
	sqlite3_stmt *statement = NULL;
	int rc = 0;

	if (sqlite3_prepare_v2(s->database.handle, "PRAGMA quick_check(1)", -1, &statement, NULL) != SQLITE_OK ||
	    sqlite3_step(statement) != SQLITE_ROW)
		rc = database_fail(&s->database, err);
	else if (strcmp((const char *)sqlite3_column_text(statement, 0), "ok") != 0)
		rc = error_set(err, EIO, "database %s is damaged (%s): put back a copy, or move it away to begin anew",
			       s->database.path, (const char *)sqlite3_column_text(statement, 0));
	sqlite3_finalize(statement);
	return rc;
}

static int check_owner(struct pool_store *s, int64_t version, struct error *err)
{
	int64_t application = 0, n_tables = 0;

	if (query_integer(s, "PRAGMA application_id", &application, err) < 0 ||
	    query_integer(s, "SELECT count(*) FROM sqlite_schema", &n_tables, err) < 0)
		return -err->code;
	if (n_tables > 0 && application != APPLICATION_ID)
		return error_set(err, EPROTO, "database %s is another program's: name a file of hearthd's own",
				 s->database.path);
	if (version < 0 || version > SCHEMA_VERSION)
		return error_set(err, EPROTO,
				 "database %s has schema version %lld, this hearthd knows %d: run the newer one, or "
				 "name another file",
				 s->database.path, (long long)version, SCHEMA_VERSION);
	return 0;
}

static int migrate(struct pool_store *s, struct error *err)
{
	int64_t version = 0;

	if (query_integer(s, "PRAGMA user_version", &version, err) < 0 || check_owner(s, version, err) < 0)
		return -err->code;
	for (; version < SCHEMA_VERSION; version++) {
		char sql[2048];

		/* One transaction, the version included: it is done or it is not. */
		snprintf(sql, sizeof(sql),
			 "BEGIN IMMEDIATE; %s; PRAGMA application_id = %d; PRAGMA user_version = %d; COMMIT",
			 migrations[version], APPLICATION_ID, (int)version + 1);
		if (database_execute(&s->database, sql, err) < 0)
			return -err->code;
	}
	return 0;
}

/* SQLite would make the file readable for others; its companions (-wal, -shm) take over the file's mode. */
static int make_file(const char *path, struct error *err)
{
	AUTO_FD int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);

	return fd < 0 ? error_set(err, errno, "cannot open the database %s: %s", path, strerror(errno)) : 0;
}

static int open_database(struct pool_store *s, const char *path, struct error *err)
{
	if (make_file(path, err) < 0 || database_open(&s->database, path, err) < 0)
		return -err->code;
	/* Where the file system has no shared memory (9p), SQLite stays with its older journal: slower, as safe. */
	if (database_execute(&s->database,
			     "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA foreign_keys = ON",
			     err) < 0 ||
	    check_whole(s, err) < 0 || migrate(s, err) < 0)
		return -err->code;
	return database_prepare(&s->database, statements, N_STATEMENTS, err);
}

struct pool_store *pool_store_open(const char *path, struct error *err)
{
	struct pool_store *s = calloc(1, sizeof(*s));

	if (!s) {
		error_set(err, ENOMEM, "out of memory");
		return NULL;
	}
	if (open_database(s, path, err) < 0) {
		pool_store_close(s);
		return NULL;
	}
	return s;
}

void pool_store_close(struct pool_store *s)
{
	if (!s)
		return;
	database_close(&s->database);
	free(s);
}

/* ---- rows -------------------------------------------------------------------------------------------------------- */

static const char *text_of(sqlite3_stmt *row, enum column column)
{
	const unsigned char *text = sqlite3_column_text(row, (int)column);

	return text ? (const char *)text : "";
}

/* A number that does not fit becomes 0 or the largest, which the check of the definition refuses. */
static uint32_t number_of(sqlite3_stmt *row, enum column column)
{
	int64_t value = sqlite3_column_int64(row, (int)column);

	return value < 0 ? 0 : value > UINT32_MAX ? UINT32_MAX : (uint32_t)value;
}

static bool copy_text(char *out, size_t size, const char *text)
{
	return (size_t)snprintf(out, size, "%s", text) < size;
}

/* The file may have been written by hand: what comes out of it is checked like what comes in over the API. */
static int read_row(const struct pool_store *s, sqlite3_stmt *row, struct pool_record *record, struct error *err)
{
	static const struct pool_limits no_limits = { .min_cooldown_s = 1 };
	int container_type = pool_container_type_from_name(text_of(row, CONTAINER_TYPE));
	int lifecycle = pool_lifecycle_from_name(text_of(row, LIFECYCLE));
	int network = pool_network_from_name(text_of(row, NETWORK));
	struct pool_definition *d = &record->definition;

	memset(record, 0, sizeof(*record)); /* what is between its members, too: records are compared as bytes */
	record->created_ms = sqlite3_column_int64(row, CREATED_MS);
	record->modified_ms = sqlite3_column_int64(row, MODIFIED_MS);
	if (container_type < 0 || lifecycle < 0 || network < 0 ||
	    !copy_text(d->name, sizeof(d->name), text_of(row, NAME)) ||
	    !copy_text(d->template_name, sizeof(d->template_name), text_of(row, TEMPLATE_NAME)) ||
	    !copy_text(d->identity, sizeof(d->identity), text_of(row, IDENTITY)) ||
	    !copy_text(d->container_template, sizeof(d->container_template), text_of(row, CONTAINER_TEMPLATE)) ||
	    !copy_text(d->secrets, sizeof(d->secrets), text_of(row, SECRETS)) ||
	    !copy_text(record->location, sizeof(record->location), text_of(row, LOCATION)) ||
	    !copy_text(record->tags, sizeof(record->tags), text_of(row, TAGS)))
		return error_set(err, EIO, "database %s: the row of pool '%.64s' makes no sense", s->database.path,
				 text_of(row, NAME));
	d->container_type = (enum pool_container_type)container_type;
	d->lifecycle = (enum pool_lifecycle)lifecycle;
	d->network = (enum pool_network)network;
	d->max_concurrent_sessions = number_of(row, MAX_CONCURRENT_SESSIONS);
	d->ready_session_instances = number_of(row, READY_SESSION_INSTANCES);
	d->cooldown_s = number_of(row, COOLDOWN_S);
	d->max_alive_s = number_of(row, MAX_ALIVE_S);
	d->cpu_milli = number_of(row, CPU_MILLI);
	d->memory_mib = number_of(row, MEMORY_MIB);
	d->mcp_is_enabled = number_of(row, MCP_IS_ENABLED);
	d->mcp_key_is_disabled = number_of(row, MCP_KEY_IS_DISABLED);
	d->max_file_mib = number_of(row, MAX_FILE_MIB);
	d->identity_is_offered = d->identity[0] && number_of(row, IDENTITY_IS_OFFERED);
	d->limits = (struct pool_session_limits) {
		.processes = number_of(row, LIMIT_PROCESSES),
		.disk_mib = number_of(row, LIMIT_DISK_MIB),
		.execution_s = number_of(row, LIMIT_EXECUTION_S),
		.output_bytes = number_of(row, LIMIT_OUTPUT_BYTES),
		.session_rate = number_of(row, LIMIT_SESSION_RATE),
		.pool_rate = number_of(row, LIMIT_POOL_RATE),
	};
	d->egress.is_denied_by_default = number_of(row, EGRESS_IS_DENIED);
	if (egress_policy_read_lines(&d->egress, text_of(row, EGRESS_LINES), err) < 0 ||
	    pool_definition_check(d, &no_limits, err) < 0) {
		err->code = EIO;
		return error_wrap(err, "database %s: pool '%.64s'", s->database.path, d->name);
	}
	return 0;
}

int pool_store_load(struct pool_store *s, void (*each)(void *data, const struct pool_record *record), void *data,
		    struct error *err)
{
	sqlite3_stmt *rows = s->database.statements[LOAD];
	struct pool_record record;
	int rc = 0, step;

	while ((step = sqlite3_step(rows)) == SQLITE_ROW && rc == 0) {
		rc = read_row(s, rows, &record, err);
		if (rc == 0)
			each(data, &record);
	}
	if (rc == 0 && step != SQLITE_DONE)
		rc = database_fail(&s->database, err);
	sqlite3_reset(rows);
	return rc;
}

int pool_store_get(struct pool_store *s, const char *name, struct pool_record *record, struct error *err)
{
	sqlite3_stmt *row = s->database.statements[GET];
	int rc, step;

	sqlite3_bind_text(row, 1, name, -1, SQLITE_STATIC);
	step = sqlite3_step(row);
	if (step == SQLITE_ROW)
		rc = read_row(s, row, record, err) < 0 ? -err->code : 1;
	else
		rc = step == SQLITE_DONE ? 0 : database_fail(&s->database, err);
	sqlite3_reset(row);
	sqlite3_clear_bindings(row);
	return rc;
}

/* Texts stay where they are until the statement has run. */
static void bind_text(sqlite3_stmt *statement, enum column column, const char *text)
{
	sqlite3_bind_text(statement, (int)column + 1, text, -1, SQLITE_STATIC);
}

static void bind_number(sqlite3_stmt *statement, enum column column, int64_t value)
{
	sqlite3_bind_int64(statement, (int)column + 1, value);
}

int pool_store_put(struct pool_store *s, const struct pool_record *record, struct error *err)
{
	const struct pool_definition *d = &record->definition;
	sqlite3_stmt *put = s->database.statements[PUT];

	bind_text(put, NAME, d->name);
	bind_text(put, TEMPLATE_NAME, d->template_name);
	bind_text(put, CONTAINER_TYPE, pool_container_type_name(d->container_type));
	bind_text(put, LIFECYCLE, pool_lifecycle_name(d->lifecycle));
	bind_text(put, NETWORK, pool_network_name(d->network));
	bind_number(put, MAX_CONCURRENT_SESSIONS, d->max_concurrent_sessions);
	bind_number(put, READY_SESSION_INSTANCES, d->ready_session_instances);
	bind_number(put, COOLDOWN_S, d->cooldown_s);
	bind_number(put, MAX_ALIVE_S, d->max_alive_s);
	bind_number(put, CPU_MILLI, d->cpu_milli);
	bind_number(put, MEMORY_MIB, d->memory_mib);
	bind_text(put, LOCATION, record->location);
	bind_text(put, TAGS, record->tags);
	bind_number(put, CREATED_MS, record->created_ms);
	bind_number(put, MODIFIED_MS, record->modified_ms);
	bind_number(put, MCP_IS_ENABLED, d->mcp_is_enabled);
	bind_number(put, MCP_KEY_IS_DISABLED, d->mcp_key_is_disabled);
	bind_number(put, MAX_FILE_MIB, d->max_file_mib);
	bind_text(put, IDENTITY, d->identity);
	bind_number(put, IDENTITY_IS_OFFERED, d->identity_is_offered);
	bind_number(put, LIMIT_PROCESSES, d->limits.processes);
	bind_number(put, LIMIT_DISK_MIB, d->limits.disk_mib);
	bind_number(put, LIMIT_EXECUTION_S, d->limits.execution_s);
	bind_number(put, LIMIT_OUTPUT_BYTES, d->limits.output_bytes);
	bind_number(put, LIMIT_SESSION_RATE, d->limits.session_rate);
	bind_number(put, LIMIT_POOL_RATE, d->limits.pool_rate);
	bind_number(put, EGRESS_IS_DENIED, d->egress.is_denied_by_default);
	bind_text(put, EGRESS_LINES, d->egress.lines);
	bind_text(put, CONTAINER_TEMPLATE, d->container_template);
	bind_text(put, SECRETS, d->secrets);
	return database_run(&s->database, PUT, err);
}

int pool_store_delete(struct pool_store *s, const char *name, struct error *err)
{
	sqlite3_bind_text(s->database.statements[DELETE], 1, name, -1, SQLITE_STATIC);
	if (database_run(&s->database, DELETE, err) < 0)
		return -err->code;
	return sqlite3_changes(s->database.handle) > 0;
}
