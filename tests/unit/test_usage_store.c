#include "api/pool_store.h"
#include "api/usage_store.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define DAY INT64_C(86400000)

static char folder[] = "/tmp/test-usage-XXXXXX";
static char path[64];
static struct usage_store *store;

static struct usage_row rows[8];
static char texts[8][4][200];
static size_t n_rows;

static void keep(void *data, const struct usage_row *row)
{
	char(*text)[200] = texts[n_rows];

	(void)data;
	assert_true(n_rows < 8);
	snprintf(text[0], 200, "%s", row->pool);
	snprintf(text[1], 200, "%s", row->identifier);
	snprintf(text[2], 200, "%s", row->reason);
	snprintf(text[3], 200, "%s", row->day);
	rows[n_rows] = *row;
	rows[n_rows].pool = text[0];
	rows[n_rows].identifier = text[1];
	rows[n_rows].reason = text[2];
	rows[n_rows].day = text[3];
	n_rows++;
}

static void query(enum usage_by by, const char *pool, int64_t since_ms)
{
	struct error err;

	n_rows = 0;
	assert_int_equal(usage_store_query(store, by, pool, since_ms, keep, NULL, &err), 0);
}

static void add(const char *guid, const char *pool, int64_t begin_ms, int64_t until_ms, bool is_over)
{
	struct session_usage u = {
		.begin_ms = begin_ms,
		.until_ms = until_ms,
		.is_over = is_over,
		.vcpu_us = 2000000,
		.mib_us = 512 * UINT64_C(1000000),
		.ran_us = 500000,
		.n_executions = 1,
	};
	struct error err;

	snprintf(u.guid, sizeof(u.guid), "%s", guid);
	snprintf(u.pool, sizeof(u.pool), "%s", pool);
	snprintf(u.identifier, sizeof(u.identifier), "id of %s", guid);
	snprintf(u.reason, sizeof(u.reason), "%s", is_over ? "it was deleted" : "");
	assert_int_equal(usage_store_add(store, &u, 1, &err), 0);
}

static int open_stores(void **state)
{
	struct pool_store *pools;
	struct error err;

	(void)state;
	pools = pool_store_open(path, &err);
	assert_non_null(pools);
	pool_store_close(pools);
	store = usage_store_open(path, &err);
	return store ? 0 : -1;
}

static int close_stores(void **state)
{
	(void)state;
	usage_store_close(store);
	unlink(path);
	return 0;
}

static void records_of_a_session_add_up(void **state)
{
	(void)state;
	add("a", "p", 1000, 2000, false);
	add("a", "p", 1000, 3000, false);
	query(USAGE_BY_SESSION, NULL, 0);
	assert_int_equal(n_rows, 1);
	assert_int_equal(rows[0].n_open, 1);
	assert_int_equal(rows[0].begin_ms, 1000);
	assert_int_equal(rows[0].end_ms, 3000);
	assert_int_equal(rows[0].n_executions, 2);
	assert_true(rows[0].vcpu_s == 4 && rows[0].gib_s == 1 && rows[0].ran_s == 1);
	add("a", "p", 1000, 4000, true);
	query(USAGE_BY_SESSION, NULL, 0);
	assert_int_equal(rows[0].n_open, 0);
	assert_int_equal(rows[0].n_executions, 3);
	assert_string_equal(rows[0].reason, "it was deleted");
	assert_string_equal(rows[0].identifier, "id of a");
}

static void sums_are_by_pool_and_day(void **state)
{
	(void)state;
	add("a", "p", 0, 1, true);
	add("b", "P", DAY, DAY + 1, true);
	add("c", "q", DAY + 5, 3 * DAY, false);
	query(USAGE_BY_POOL, NULL, 0);
	assert_int_equal(n_rows, 2);
	assert_int_equal(rows[0].n_sessions, 2);
	assert_string_equal(rows[1].pool, "q");
	assert_int_equal(rows[1].n_open, 1);
	query(USAGE_BY_DAY, NULL, 0);
	assert_int_equal(n_rows, 2);
	assert_string_equal(rows[0].day, "1970-01-02");
	assert_int_equal(rows[0].n_executions, 2);
	assert_string_equal(rows[1].day, "1970-01-01");
	query(USAGE_BY_DAY, "P", 0);
	assert_int_equal(rows[0].n_executions, 1);
	query(USAGE_BY_SESSION, NULL, 2 * DAY);
	assert_int_equal(n_rows, 1);
	assert_string_equal(rows[0].identifier, "id of c");
	query(USAGE_BY_POOL, "none", 0);
	assert_int_equal(n_rows, 0);
}

/* As after kill -9: what was written is there; who goes on is open again. */
static void an_open_session_ends_with_its_hearthd_or_goes_on(void **state)
{
	struct error err;

	(void)state;
	add("a", "p", 1000, 2000, false);
	add("b", "p", 1000, 2000, false);
	usage_store_close(store);
	store = usage_store_open(path, &err);
	assert_non_null(store);
	add("b", "p", 1000, 9000, false);
	query(USAGE_BY_SESSION, NULL, 2001);
	assert_int_equal(n_rows, 1);
	assert_int_equal(rows[0].n_open, 1);
	assert_int_equal(rows[0].n_executions, 2);
	assert_string_equal(rows[0].reason, "");
	query(USAGE_BY_POOL, NULL, 0);
	assert_int_equal(rows[0].n_open, 1);
	assert_int_equal(rows[0].n_sessions, 2);
}

static void old_records_are_forgotten_and_open_ones_kept(void **state)
{
	struct error err;

	(void)state;
	add("a", "p", 0, 1000, true);
	add("b", "p", 0, 1000, false);
	add("c", "p", 0, 2000, true);
	assert_int_equal(usage_store_forget(store, 2000, &err), 0);
	query(USAGE_BY_SESSION, NULL, 0);
	assert_int_equal(n_rows, 2);
}

/* Neither waits nor keeps half of it. */
static void a_busy_database_refuses_at_once(void **state)
{
	struct session_usage u[2] = { { .guid = "a", .pool = "p" }, { .guid = "b", .pool = "p" } };
	struct error err;
	sqlite3 *other;

	(void)state;
	assert_int_equal(sqlite3_open(path, &other), SQLITE_OK);
	assert_int_equal(sqlite3_exec(other, "BEGIN IMMEDIATE", NULL, NULL, NULL), SQLITE_OK);
	assert_int_equal(usage_store_add(store, u, 2, &err), -EBUSY);
	assert_int_equal(sqlite3_exec(other, "COMMIT", NULL, NULL, NULL), SQLITE_OK);
	sqlite3_close(other);
	query(USAGE_BY_SESSION, NULL, 0);
	assert_int_equal(n_rows, 0);
	assert_int_equal(usage_store_add(store, u, 2, &err), 0);
	query(USAGE_BY_SESSION, NULL, 0);
	assert_int_equal(n_rows, 2);
}

/* The pools' part still knows its database. */
static void both_stores_share_the_file(void **state)
{
	struct pool_store *pools;
	struct error err;

	(void)state;
	add("a", "p", 0, 1, false);
	pools = pool_store_open(path, &err);
	assert_non_null(pools);
	add("a", "p", 0, 2, true);
	pool_store_close(pools);
}

static int set_up(void **state)
{
	(void)state;
	if (!mkdtemp(folder))
		return -1;
	snprintf(path, sizeof(path), "%s/hearth.db", folder);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	return rmdir(folder);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(records_of_a_session_add_up, open_stores, close_stores),
		cmocka_unit_test_setup_teardown(sums_are_by_pool_and_day, open_stores, close_stores),
		cmocka_unit_test_setup_teardown(an_open_session_ends_with_its_hearthd_or_goes_on, open_stores,
						close_stores),
		cmocka_unit_test_setup_teardown(old_records_are_forgotten_and_open_ones_kept, open_stores,
						close_stores),
		cmocka_unit_test_setup_teardown(a_busy_database_refuses_at_once, open_stores, close_stores),
		cmocka_unit_test_setup_teardown(both_stores_share_the_file, open_stores, close_stores),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
