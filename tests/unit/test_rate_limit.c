/* A limit on how often something may happen. */
#include "api/rate_limit.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#define SECOND 1000000000ull
#define START  (1000 * SECOND)

static unsigned int take_all(struct rate_limit *r, uint32_t per_minute, uint64_t now_ns)
{
	unsigned int n = 0;

	while (n < 10000 && rate_limit_take(r, per_minute, now_ns) == 0)
		n++;
	return n;
}

static void a_minutes_worth_may_come_at_once(void **state)
{
	struct rate_limit r = { 0 };

	(void)state;
	assert_int_equal(take_all(&r, 60, START), 60);
	assert_int_equal(rate_limit_take(&r, 60, START), SECOND);
	assert_int_equal(rate_limit_take(&r, 60, START + SECOND / 4), SECOND - SECOND / 4);
}

static void then_as_many_as_the_rate_says(void **state)
{
	struct rate_limit r = { 0 };
	unsigned int n = 0;

	(void)state;
	take_all(&r, 60, START);
	for (uint64_t now = START + SECOND / 10; now <= START + 30 * SECOND; now += SECOND / 10)
		n += take_all(&r, 60, now);
	assert_int_equal(n, 30);
	/* What was not used is saved up, for a minute and no more. */
	assert_int_equal(take_all(&r, 60, START + 3600 * SECOND), 60);
}

static void a_refused_one_costs_nothing(void **state)
{
	struct rate_limit r = { 0 };

	(void)state;
	take_all(&r, 1, START);
	for (int i = 0; i < 100; i++)
		assert_int_equal(rate_limit_take(&r, 1, START + SECOND), 59 * SECOND);
	assert_int_equal(rate_limit_take(&r, 1, START + 60 * SECOND), 0);
}

static void no_rate_is_no_limit_and_rates_may_change(void **state)
{
	struct rate_limit r = { 0 };

	(void)state;
	assert_int_equal(take_all(&r, 0, START), 10000);
	assert_int_equal(take_all(&r, 2, START), 2);
	/* What was taken at the lower rate has to come back at it. */
	assert_true(rate_limit_take(&r, 600, START) > 0);
	assert_int_equal(take_all(&r, 600, START + 60 * SECOND), 600);
	assert_int_equal(take_all(&r, 1000000, START + 120 * SECOND), 10000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_minutes_worth_may_come_at_once),
		cmocka_unit_test(then_as_many_as_the_rate_says),
		cmocka_unit_test(a_refused_one_costs_nothing),
		cmocka_unit_test(no_rate_is_no_limit_and_rates_may_change),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
