#include "api/cli/exit_status.h"
#include "api/cli/log_filter.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

#define NOW 1769851800000 /* 2026-01-31T09:30:00Z */

static bool wants(struct log_filter *f, const char *text)
{
	json_t *line = json_loads(text, 0, NULL);
	bool result;

	assert_non_null(line);
	result = log_filter_wants(f, line);
	json_decref(line);
	return result;
}

static void check_since(const char *text, int64_t ago_s)
{
	struct error err;
	int64_t ms;

	assert_int_equal(since_parse(text, NOW, &ms, &err), 0);
	assert_int_equal((NOW - ms) / 1000, ago_s);
}

static void times_are_taken(void **state)
{
	static const char *const bad[] = {
		"", "1", "h", "-1h", "1y", "1h ", " 1h", "99999999999999999999d", "2026-02-30T", "yesterday"
	};
	struct error err;
	int64_t ms;

	(void)state;
	check_since("0s", 0);
	check_since("30s", 30);
	check_since("15m", 900);
	check_since("1h", 3600);
	check_since("2d", 172800);
	check_since("1w", 604800);
	check_since("2026-01-31", 9 * 3600 + 1800);
	check_since("2026-01-31T09:00:00Z", 1800);
	check_since("2026-01-31T09:00:00", 1800);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_int_equal(since_parse(bad[i], NOW, &ms, &err), -STATUS_USAGE);
}

static void lines_before_the_time_are_left_out(void **state)
{
	struct log_filter f = { 0 };

	(void)state;
	since_format(f.since, NOW);
	assert_true(wants(&f, "{\"time\":\"2026-01-31T09:30:00.0000000Z\"}"));
	assert_false(wants(&f, "{\"time\":\"2026-01-31T09:29:59.9990000Z\"}"));
	assert_false(wants(&f, "{}"));
}

/* What an old line has told of a session's ids counts for new ones. */
static void a_session_is_followed_to_its_ids(void **state)
{
	struct log_filter f = { .session = "work", .since = "2026" };

	(void)state;
	assert_false(wants(&f, "{\"time\":\"2026\",\"vm\":\"v1\",\"message\":\"not yet known\"}"));
	assert_false(wants(&f, "{\"time\":\"2025\",\"session\":\"11111111\",\"vm\":\"v1\",\"identifier\":\"work\"}"));
	assert_true(wants(&f, "{\"time\":\"2026\",\"session\":\"11111111\",\"message\":\"is left\"}"));
	assert_true(wants(&f, "{\"time\":\"2026\",\"vm\":\"v1\",\"message\":\"lost\"}"));
	assert_false(wants(&f, "{\"time\":\"2026\",\"session\":\"22222222\",\"vm\":\"v1\",\"identifier\":\"other\"}"));
	assert_false(wants(&f, "{\"time\":\"2026\",\"session\":\"22222222\"}"));
	assert_false(wants(&f, "{\"time\":\"2026\",\"message\":\"stopping\"}"));
}

static void a_session_is_found_by_its_id(void **state)
{
	struct log_filter f = { .session = "1a510ccd-0000-4000-8000-000000000000" };

	(void)state;
	assert_true(wants(&f, "{\"time\":\"2026\",\"session\":\"1a510ccd\",\"identifier\":\"x\"}"));
	assert_false(wants(&f, "{\"time\":\"2026\",\"session\":\"1a510cce\",\"identifier\":\"x\"}"));
}

static void pools_are_told_apart(void **state)
{
	struct log_filter f = { .pool = "Blue" };

	(void)state;
	assert_true(wants(&f, "{\"time\":\"2026\",\"pool\":\"blue\",\"max\":3}"));
	assert_true(
		wants(&f, "{\"time\":\"2026\",\"pool\":\"blue\",\"identifier\":\"a\",\"session\":\"1\",\"vm\":\"v\"}"));
	assert_true(wants(&f, "{\"time\":\"2026\",\"vm\":\"v\",\"message\":\"lost\"}"));
	assert_false(wants(&f, "{\"time\":\"2026\",\"pool\":\"red\",\"identifier\":\"a\",\"session\":\"2\"}"));
	assert_false(wants(&f, "{\"time\":\"2026\",\"message\":\"stopped\"}"));
	f.session = "a";
	assert_false(wants(&f, "{\"time\":\"2026\",\"pool\":\"red\",\"identifier\":\"a\",\"session\":\"2\"}"));
	assert_false(wants(&f, "{\"time\":\"2026\",\"pool\":\"blue\",\"max\":3}"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(times_are_taken),
		cmocka_unit_test(lines_before_the_time_are_left_out),
		cmocka_unit_test(a_session_is_followed_to_its_ids),
		cmocka_unit_test(a_session_is_found_by_its_id),
		cmocka_unit_test(pools_are_told_apart),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
