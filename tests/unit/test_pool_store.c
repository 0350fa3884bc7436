#include "api/pool_store.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static char folder[] = "/tmp/test-pool-store-XXXXXX";
static char path[64];

static int setup(void **state)
{
	(void)state;
	strcpy(folder + strlen(folder) - 6, "XXXXXX");
	assert_non_null(mkdtemp(folder));
	snprintf(path, sizeof(path), "%s/hearth.db", folder);
	return 0;
}

static int teardown(void **state)
{
	static const char *const endings[] = { "", "-wal", "-shm", "-journal" };
	char name[80];

	(void)state;
	for (size_t i = 0; i < sizeof(endings) / sizeof(endings[0]); i++) {
		snprintf(name, sizeof(name), "%s%s", path, endings[i]);
		unlink(name);
	}
	return rmdir(folder);
}

static struct pool_store *open_store(void)
{
	struct error err = { 0 };
	struct pool_store *s = pool_store_open(path, &err);

	if (!s)
		fail_msg("%s", err.text);
	return s;
}

static void check_open_error(int code, const char *part)
{
	struct error err = { 0 };

	assert_null(pool_store_open(path, &err));
	if (!strstr(err.text, part))
		fail_msg("\"%s\" is not in \"%s\"", part, err.text);
	assert_int_equal(err.code, code);
}

static void execute(const char *sql)
{
	sqlite3 *database;

	assert_int_equal(sqlite3_open(path, &database), SQLITE_OK);
	assert_int_equal(sqlite3_exec(database, sql, NULL, NULL, NULL), SQLITE_OK);
	sqlite3_close(database);
}

static struct pool_record record_of(const char *name)
{
	struct pool_record record = {
		.definition = pool_definition_default(name),
		.location = "westus2",
		.tags = "{\"team\":\"a\"}",
		.created_ms = 1700000000123,
		.modified_ms = 1700000001456,
	};

	return record;
}

static void put(struct pool_store *s, const struct pool_record *record)
{
	struct error err = { 0 };

	if (pool_store_put(s, record, &err) < 0)
		fail_msg("%s", err.text);
}

struct names {
	char text[256];
};

static void add_name(void *data, const struct pool_record *record)
{
	struct names *names = data;

	snprintf(names->text + strlen(names->text), sizeof(names->text) - strlen(names->text), "%s ",
		 record->definition.name);
}

static void check_names(struct pool_store *s, const char *expected)
{
	struct names names = { { 0 } };
	struct error err = { 0 };

	assert_int_equal(pool_store_load(s, add_name, &names, &err), 0);
	assert_string_equal(names.text, expected);
}

static void a_pool_comes_back_as_it_was_after_a_restart(void **state)
{
	struct pool_record out, in = record_of("analysis");
	struct pool_store *s = open_store();
	struct error err = { 0 };

	(void)state;
	in.definition.container_type = POOL_NODE_LTS;
	in.definition.lifecycle = POOL_MAX_LIFETIME;
	in.definition.max_concurrent_sessions = 7;
	in.definition.ready_session_instances = 3;
	in.definition.cooldown_s = 61;
	in.definition.max_alive_s = 86400;
	in.definition.cpu_milli = 1500;
	in.definition.limits = (struct pool_session_limits) { 100, 200, 300, 4000, 500, 600 };
	in.definition.memory_mib = 2048;
	in.definition.mcp_is_enabled = true;
	in.definition.mcp_key_is_disabled = true;
	strcpy(in.definition.template_name, "warm-numpy");
	put(s, &in);
	pool_store_close(s);

	s = open_store();
	memset(&out, 0xff, sizeof(out));
	assert_int_equal(pool_store_get(s, "analysis", &out, &err), 1);
	assert_memory_equal(&out, &in, sizeof(in));
	pool_store_close(s);
}

static void pools_are_replaced_listed_by_name_and_deleted(void **state)
{
	struct pool_record out, first = record_of("zeta"), second = record_of("alpha"), again = record_of("ALPHA");
	struct pool_store *s = open_store();
	struct error err = { 0 };

	(void)state;
	check_names(s, "");
	put(s, &first);
	put(s, &second);
	check_names(s, "alpha zeta ");
	again.definition.max_concurrent_sessions = 9;
	put(s, &again);
	check_names(s, "ALPHA zeta ");
	assert_int_equal(pool_store_get(s, "Alpha", &out, &err), 1);
	assert_int_equal(out.definition.max_concurrent_sessions, 9);
	assert_int_equal(pool_store_delete(s, "alphA", &err), 1);
	assert_int_equal(pool_store_delete(s, "alpha", &err), 0);
	assert_int_equal(pool_store_get(s, "alpha", &out, &err), 0);
	check_names(s, "zeta ");
	pool_store_close(s);
}

static void the_file_is_the_owners_alone(void **state)
{
	struct pool_record record = record_of("aa");
	struct pool_store *s = open_store();
	char wal[80];
	struct stat st;

	(void)state;
	put(s, &record);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0600);
	snprintf(wal, sizeof(wal), "%s-wal", path);
	assert_int_equal(stat(wal, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0600);
	pool_store_close(s);
}

static void a_file_that_is_no_database_is_refused_and_left_alone(void **state)
{
	char text[4096] = "This is a letter to my aunt, and no database at all.";
	int fd = open(path, O_RDWR | O_CREAT, 0600);

	(void)state;
	assert_int_equal(write(fd, text, sizeof(text)), sizeof(text));
	check_open_error(EIO, "is damaged");
	memset(text, 0, sizeof(text));
	assert_int_equal(pread(fd, text, sizeof(text), 0), sizeof(text));
	assert_memory_equal(text, "This is a letter", 16);
	close(fd);
}

/* Every page but the first, so that SQLite still takes it for a database. */
static void a_database_with_overwritten_pages_is_refused(void **state)
{
	struct pool_store *s = open_store();
	char garbage[4096];
	struct stat st;
	int fd;

	(void)state;
	for (int i = 0; i < 100; i++) {
		struct pool_record record = record_of("aa");

		snprintf(record.definition.name, sizeof(record.definition.name), "pool-%d", i);
		put(s, &record);
	}
	pool_store_close(s);
	fd = open(path, O_RDWR);
	assert_int_equal(fstat(fd, &st), 0);
	assert_true(st.st_size > 8192);
	memset(garbage, 0xa5, sizeof(garbage));
	for (off_t at = 4096; at < st.st_size; at += 4096)
		assert_int_equal(pwrite(fd, garbage, sizeof(garbage), at), sizeof(garbage));
	close(fd);
	check_open_error(EIO, "is damaged");
}

static void a_truncated_database_is_refused(void **state)
{
	struct pool_store *s = open_store();

	(void)state;
	for (int i = 0; i < 100; i++) {
		struct pool_record record = record_of("aa");

		snprintf(record.definition.name, sizeof(record.definition.name), "pool-%d", i);
		put(s, &record);
	}
	pool_store_close(s);
	assert_int_equal(truncate(path, 8192), 0);
	check_open_error(EIO, "is damaged");
}

static void a_newer_schema_is_refused_and_left_alone(void **state)
{
	struct pool_record record = record_of("aa");
	struct pool_store *s = open_store();

	(void)state;
	put(s, &record);
	pool_store_close(s);
	execute("PRAGMA user_version = 99");
	check_open_error(EPROTO, "schema version 99");
	execute("PRAGMA user_version = 8");
	s = open_store();
	check_names(s, "aa ");
	pool_store_close(s);
}

/* As it was before MCP servers and limits of files: the default pool gets a server, as one that was not stored has. */
static void an_older_schema_is_brought_up_to_date(void **state)
{
	struct pool_record first = record_of("aa"), second = record_of(POOL_DEFAULT_NAME), out;
	struct pool_store *s = open_store();
	struct error err = { 0 };

	(void)state;
	put(s, &first);
	put(s, &second);
	pool_store_close(s);
	execute("ALTER TABLE pools DROP COLUMN mcp_is_enabled; ALTER TABLE pools DROP COLUMN mcp_key_is_disabled; "
		"DROP TABLE mcp_keys; ALTER TABLE pools DROP COLUMN max_file_mib; ALTER TABLE pools DROP COLUMN "
		"identity; "
		"ALTER TABLE pools DROP COLUMN identity_is_offered; "
		"ALTER TABLE pools DROP COLUMN container_template; ALTER TABLE pools DROP COLUMN secrets; "
		"ALTER TABLE pools DROP COLUMN egress_is_denied; ALTER TABLE pools DROP COLUMN egress_lines; "
		"ALTER TABLE pools DROP COLUMN limit_processes; ALTER TABLE pools DROP COLUMN limit_disk_mib; "
		"ALTER TABLE pools DROP COLUMN limit_execution_s; ALTER TABLE pools DROP COLUMN limit_output_bytes; "
		"ALTER TABLE pools DROP COLUMN limit_session_rate; ALTER TABLE pools DROP COLUMN limit_pool_rate; "
		"ALTER TABLE pools RENAME COLUMN cpu_milli TO vcpus; UPDATE pools SET vcpus = 3; PRAGMA user_version = "
		"2");
	first.definition.cpu_milli = 3000;
	s = open_store();
	assert_int_equal(pool_store_get(s, "aa", &out, &err), 1);
	assert_memory_equal(&out.definition, &first.definition, sizeof(first.definition));
	assert_string_equal(out.tags, first.tags);
	assert_int_equal(pool_store_get(s, POOL_DEFAULT_NAME, &out, &err), 1);
	assert_true(out.definition.mcp_is_enabled);
	first.definition.max_file_mib = 300;
	strcpy(first.definition.identity, "billing");
	first.definition.identity_is_offered = true;
	first.definition.container_type = POOL_CUSTOM_CONTAINER;
	strcpy(first.definition.container_template, "{\"containers\":[]}");
	strcpy(first.definition.secrets, "{\"a\":\"b\"}");
	put(s, &first);
	assert_int_equal(pool_store_get(s, "aa", &out, &err), 1);
	assert_memory_equal(&out.definition, &first.definition, sizeof(first.definition));
	pool_store_close(s);
}

static void another_programs_database_is_refused(void **state)
{
	(void)state;
	execute("CREATE TABLE bookmarks (url TEXT)");
	check_open_error(EPROTO, "another program's");
}

static void a_row_that_makes_no_sense_is_an_error_and_no_pool(void **state)
{
	static const char *const damage[] = {
		"UPDATE pools SET container_type = 'Cobol'",
		"UPDATE pools SET lifecycle = ''",
		"UPDATE pools SET network = 'EgressSometimes'",
		"UPDATE pools SET egress_lines = 'allow 10.0.0.1/8'",
		"UPDATE pools SET egress_lines = 'default allow'",
		"UPDATE pools SET max_concurrent_sessions = 4294967297",
		"UPDATE pools SET ready_session_instances = -1, max_concurrent_sessions = 0",
		"UPDATE pools SET cooldown_s = 0",
		"UPDATE pools SET cpu_milli = 64001",
		"UPDATE pools SET limit_processes = 1",
		"UPDATE pools SET name = '../../etc'",
		"UPDATE pools SET tags = hex(zeroblob(3000))",
		"UPDATE pools SET location = hex(zeroblob(200))",
	};

	(void)state;
	for (size_t i = 0; i < sizeof(damage) / sizeof(damage[0]); i++) {
		struct pool_record record = record_of("aa");
		struct pool_store *s = open_store();
		struct names names = { { 0 } };
		struct error err = { 0 };

		put(s, &record);
		pool_store_close(s);
		execute(damage[i]);
		s = open_store();
		if (pool_store_load(s, add_name, &names, &err) == 0)
			fail_msg("not noticed: %s", damage[i]);
		assert_int_equal(err.code, EIO);
		assert_string_equal(names.text, "");
		/* The statement was put back: the next call works. */
		execute("DELETE FROM pools");
		check_names(s, "");
		pool_store_close(s);
	}
}

static void a_folder_that_is_not_there_is_a_clear_error(void **state)
{
	(void)state;
	snprintf(path, sizeof(path), "%s/missing/hearth.db", folder);
	check_open_error(ENOENT, "No such file");
	snprintf(path, sizeof(path), "%s/hearth.db", folder);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_pool_comes_back_as_it_was_after_a_restart),
		TEST(pools_are_replaced_listed_by_name_and_deleted),
		TEST(the_file_is_the_owners_alone),
		TEST(a_file_that_is_no_database_is_refused_and_left_alone),
		TEST(a_database_with_overwritten_pages_is_refused),
		TEST(a_truncated_database_is_refused),
		TEST(a_newer_schema_is_refused_and_left_alone),
		TEST(an_older_schema_is_brought_up_to_date),
		TEST(another_programs_database_is_refused),
		TEST(a_row_that_makes_no_sense_is_an_error_and_no_pool),
		TEST(a_folder_that_is_not_there_is_a_clear_error),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
