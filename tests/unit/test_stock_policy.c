/* How many ready microVMs a stock wants, and when it tries again. */
#include "api/stock_policy.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#define SECOND 1000000000ull

static void without_demand_the_floor_holds(void **state)
{
	struct stock_policy p = { 0 };

	(void)state;
	assert_int_equal(stock_policy_target(&p, 5 * SECOND, 3, 100), 3);
	assert_int_equal(stock_policy_target(&p, 5 * SECOND, 0, 100), 0);
	/* A floor of none means none, whatever the demand. */
	stock_policy_made(&p, SECOND);
	for (int i = 0; i < 100; i++)
		stock_policy_wanted(&p, 5 * SECOND);
	assert_int_equal(stock_policy_target(&p, 5 * SECOND, 0, 100), 0);
}

static void a_steady_demand_raises_the_target(void **state)
{
	struct stock_policy p = { 0 };
	uint64_t now = SECOND;

	(void)state;
	stock_policy_made(&p, SECOND / 2);
	for (int i = 0; i < 400; i++, now += SECOND / 4)
		stock_policy_wanted(&p, now);
	/* 4 a second, half a second each, twice: 4 more, give or take the rounding. */
	assert_in_range(stock_policy_target(&p, now, 2, 100), 6, 7);
	/* A minute later it is forgotten. */
	assert_int_equal(stock_policy_target(&p, now + 60 * SECOND, 2, 100), 2);
}

static void the_target_is_bounded(void **state)
{
	struct stock_policy p = { 0 };

	(void)state;
	stock_policy_made(&p, 10 * SECOND);
	for (int i = 0; i < 1000; i++)
		stock_policy_wanted(&p, SECOND);
	assert_int_equal(stock_policy_target(&p, SECOND, 2, 100), 2 * STOCK_CAP_FACTOR);
	/* Never more than the sessions that may still be made. */
	assert_int_equal(stock_policy_target(&p, SECOND, 2, 3), 3);
	assert_int_equal(stock_policy_target(&p, SECOND, 2, 0), 0);
}

static void what_took_long_once_is_not_expected_for_ever(void **state)
{
	struct stock_policy p = { 0 };

	(void)state;
	stock_policy_made(&p, 100 * SECOND);
	for (int i = 0; i < 30; i++)
		stock_policy_made(&p, SECOND);
	assert_true(p.make_s < 1.1);
}

static void failures_wait_ever_longer_up_to_a_minute(void **state)
{
	struct stock_policy p = { 0 };
	uint64_t last = 0;

	(void)state;
	assert_int_equal(stock_policy_wait_ns(&p, SECOND), 0);
	for (int i = 0; i < 20; i++) {
		uint64_t wait;

		stock_policy_failed(&p, SECOND);
		wait = stock_policy_wait_ns(&p, SECOND);
		assert_true(wait >= last && wait <= 60 * SECOND);
		last = wait;
	}
	assert_int_equal(last, 60 * SECOND);
	assert_int_equal(stock_policy_wait_ns(&p, 62 * SECOND), 0);
	stock_policy_made(&p, SECOND);
	assert_int_equal(stock_policy_wait_ns(&p, SECOND), 0);
	stock_policy_failed(&p, SECOND);
	assert_int_equal(stock_policy_wait_ns(&p, SECOND), SECOND);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(without_demand_the_floor_holds),
		cmocka_unit_test(a_steady_demand_raises_the_target),
		cmocka_unit_test(the_target_is_bounded),
		cmocka_unit_test(what_took_long_once_is_not_expected_for_ever),
		cmocka_unit_test(failures_wait_ever_longer_up_to_a_minute),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
