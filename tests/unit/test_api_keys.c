#include "api/api_keys.h"
#include "api/key_store.h"
#include "api/pool_store.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static char folder[] = "/tmp/test-api-keys-XXXXXX";
static char path[64];
static struct pool_store *pools;

static int set_up(void **state)
{
	struct error err = { 0 };

	(void)state;
	strcpy(folder + strlen(folder) - 6, "XXXXXX");
	assert_non_null(mkdtemp(folder));
	snprintf(path, sizeof(path), "%s/hearth.db", folder);
	pools = pool_store_open(path, &err);
	return pools ? 0 : -1;
}

static int tear_down(void **state)
{
	static const char *const endings[] = { "", "-wal", "-shm", "-journal" };
	char name[80];

	(void)state;
	pool_store_close(pools);
	for (size_t i = 0; i < sizeof(endings) / sizeof(endings[0]); i++) {
		snprintf(name, sizeof(name), "%s%s", path, endings[i]);
		unlink(name);
	}
	return rmdir(folder);
}

static void execute(const char *sql)
{
	sqlite3 *database;

	assert_int_equal(sqlite3_open(path, &database), SQLITE_OK);
	assert_int_equal(sqlite3_exec(database, sql, NULL, NULL, NULL), SQLITE_OK);
	sqlite3_close(database);
}

static int64_t query(const char *sql)
{
	sqlite3 *database;
	sqlite3_stmt *statement;
	int64_t value;

	assert_int_equal(sqlite3_open(path, &database), SQLITE_OK);
	assert_int_equal(sqlite3_prepare_v2(database, sql, -1, &statement, NULL), SQLITE_OK);
	assert_int_equal(sqlite3_step(statement), SQLITE_ROW);
	value = sqlite3_column_int64(statement, 0);
	sqlite3_finalize(statement);
	sqlite3_close(database);
	return value;
}

static struct api_keys *open_keys(void)
{
	struct error err = { 0 };
	struct api_keys *keys = api_keys_open(path, &err);

	if (!keys)
		fail_msg("%s", err.text);
	return keys;
}

static struct api_key create(struct api_keys *keys, int64_t expires_ms, char token[API_KEY_TOKEN_SIZE])
{
	struct api_key key = {
		.name = "ci",
		.role = ROLE_EXECUTOR,
		.pools = "alpha beta",
		.created_by = "administrator",
		.created_ms = 1000,
		.expires_ms = expires_ms,
	};
	struct error err = { 0 };

	if (api_keys_create(keys, &key, token, &err) < 0)
		fail_msg("%s", err.text);
	return key;
}

static void a_key_is_found_by_its_token_and_by_no_other(void **state)
{
	char token[API_KEY_TOKEN_SIZE], other[API_KEY_TOKEN_SIZE], wrong[API_KEY_TOKEN_SIZE + 1];
	struct api_keys *keys = open_keys();
	struct api_key a = create(keys, 0, token);

	(void)state;
	create(keys, 0, other);
	assert_string_not_equal(token, other);
	assert_int_equal(strlen(token), API_KEY_TOKEN_SIZE - 1);
	assert_string_equal(api_keys_identify(keys, token, 2000)->id, a.id);
	/* Each single character counts. */
	for (size_t i = 0; i < strlen(token); i++) {
		strcpy(wrong, token);
		wrong[i] = wrong[i] == '0' ? '1' : '0';
		assert_null(api_keys_identify(keys, wrong, 2000));
	}
	/* The id of one with the secret of another. */
	snprintf(wrong, sizeof(wrong), "%.24s%s", token, other + 24);
	assert_null(api_keys_identify(keys, wrong, 2000));
	snprintf(wrong, sizeof(wrong), "%s0", token);
	assert_null(api_keys_identify(keys, wrong, 2000));
	assert_null(api_keys_identify(keys, "", 2000));
	assert_null(api_keys_identify(keys, "hearth_", 2000));
	api_keys_close(keys);
}

static void the_token_is_not_in_the_database(void **state)
{
	char token[API_KEY_TOKEN_SIZE], *content = malloc(1 << 20);
	static const char *const endings[] = { "", "-wal" };
	struct api_keys *keys = open_keys();
	struct api_key key = create(keys, 0, token);
	bool has_id = false;

	(void)state;
	assert_non_null(content);
	for (size_t i = 0; i < 2; i++) {
		char name[80];
		FILE *file;
		size_t n;

		snprintf(name, sizeof(name), "%s%s", path, endings[i]);
		file = fopen(name, "r");
		n = file ? fread(content, 1, 1 << 20, file) : 0;
		if (file)
			fclose(file);
		has_id |= memmem(content, n, key.id, strlen(key.id)) != NULL;
		assert_null(memmem(content, n, token + 24, 32));
	}
	assert_true(has_id);
	free(content);
	api_keys_close(keys);
}

static void keys_are_there_again_and_revoked_ones_are_not(void **state)
{
	char token[API_KEY_TOKEN_SIZE], other[API_KEY_TOKEN_SIZE];
	struct api_keys *keys = open_keys();
	struct api_key a = create(keys, 5000, token), b = create(keys, 0, other);
	struct error err = { 0 };
	const struct api_key *found;

	(void)state;
	api_keys_close(keys);
	keys = open_keys();
	found = api_keys_identify(keys, token, 4999);
	assert_non_null(found);
	assert_string_equal(found->id, a.id);
	assert_string_equal(found->name, "ci");
	assert_string_equal(found->pools, "alpha beta");
	assert_string_equal(found->created_by, "administrator");
	assert_int_equal(found->role, ROLE_EXECUTOR);
	assert_int_equal(found->created_ms, 1000);
	assert_null(api_keys_identify(keys, token, 5000));
	assert_int_equal(api_keys_revoke(keys, a.id, &err), 1);
	assert_int_equal(api_keys_revoke(keys, a.id, &err), 0);
	assert_null(api_keys_identify(keys, token, 2000));
	assert_non_null(api_keys_identify(keys, other, 2000));
	api_keys_close(keys);
	keys = open_keys();
	assert_null(api_keys_identify(keys, token, 2000));
	assert_string_equal(api_keys_at(keys, 0)->id, b.id);
	assert_null(api_keys_at(keys, 1));
	api_keys_close(keys);
}

static void use_is_written_down_once_a_minute_and_at_the_end(void **state)
{
	static const char last[] = "SELECT max(last_used_ms) FROM api_keys";
	char token[API_KEY_TOKEN_SIZE];
	struct api_keys *keys = open_keys();

	(void)state;
	create(keys, 0, token);
	assert_non_null(api_keys_identify(keys, token, 1000000));
	assert_int_equal(query(last), 1000000);
	for (int64_t now = 1000001; now < 1060000; now += 1000)
		assert_non_null(api_keys_identify(keys, token, now));
	assert_int_equal(query(last), 1000000);
	assert_non_null(api_keys_identify(keys, token, 1060000));
	assert_int_equal(query(last), 1060000);
	assert_non_null(api_keys_identify(keys, token, 1060001));
	api_keys_close(keys);
	assert_int_equal(query(last), 1060001);
}

static void what_cannot_be_kept_is_no_key(void **state)
{
	char token[API_KEY_TOKEN_SIZE], other[API_KEY_TOKEN_SIZE];
	struct api_keys *keys = open_keys();
	struct api_key a = create(keys, 0, token), b = a;
	struct error err = { 0 };

	(void)state;
	execute("CREATE TRIGGER no_more BEFORE INSERT ON api_keys BEGIN SELECT raise(ABORT, 'disk full'); END;"
		"CREATE TRIGGER no_less BEFORE DELETE ON api_keys BEGIN SELECT raise(ABORT, 'disk full'); END");
	assert_true(api_keys_create(keys, &b, other, &err) < 0);
	assert_non_null(strstr(err.text, "disk full"));
	assert_null(api_keys_identify(keys, other, 2000));
	assert_true(api_keys_revoke(keys, a.id, &err) < 0);
	assert_non_null(api_keys_identify(keys, token, 2000));
	api_keys_close(keys);
}

static void rows_that_make_no_sense_are_refused(void **state)
{
	static const char *const changes[] = {
		"UPDATE api_keys SET role = 'owner'", "UPDATE api_keys SET pools = 'a/b'",
		"UPDATE api_keys SET pools = ''",     "UPDATE api_keys SET hash = x'00'",
		"UPDATE api_keys SET id = id || id",
	};

	for (size_t i = 0; i < sizeof(changes) / sizeof(changes[0]); i++) {
		char token[API_KEY_TOKEN_SIZE];
		struct api_keys *keys = open_keys();
		struct error err = { 0 };

		(void)state;
		create(keys, 0, token);
		api_keys_close(keys);
		execute(changes[i]);
		assert_null(api_keys_open(path, &err));
		assert_non_null(strstr(err.text, "makes no sense"));
		execute("DELETE FROM api_keys");
	}
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_key_is_found_by_its_token_and_by_no_other),
		TEST(the_token_is_not_in_the_database),
		TEST(keys_are_there_again_and_revoked_ones_are_not),
		TEST(use_is_written_down_once_a_minute_and_at_the_end),
		TEST(what_cannot_be_kept_is_no_key),
		TEST(rows_that_make_no_sense_are_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
