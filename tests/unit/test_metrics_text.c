#include "api/metrics_text.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <string.h>

static struct buffer out;
static struct metrics_text text = { .out = &out };

static const char *written(void)
{
	buffer_put(&out, "", 1);
	assert_false(out.failed);
	return out.data;
}

static int clear(void **state)
{
	(void)state;
	buffer_fini(&out);
	text.is_openmetrics = false;
	return 0;
}

static void values_of_labels_are_escaped(void **state)
{
	(void)state;
	metrics_text_family(&text, "x_total", METRICS_COUNTER, "Help.");
	metrics_text_sample(&text, METRICS_LABELS({ "a", "q\"b\\s\nn" }, { "b", "" }), 1);
	assert_string_equal(written(), "# HELP x_total Help.\n# TYPE x_total counter\n"
				       "x_total{a=\"q\\\"b\\\\s\\nn\",b=\"\"} 1\n");
}

static void numbers_keep_their_digits(void **state)
{
	(void)state;
	metrics_text_single(&text, "x", METRICS_GAUGE, "Help.", 9007199254740991.0);
	assert_non_null(strstr(written(), "\nx 9007199254740991\n"));
}

/* A bound belongs to its bucket, and each bucket counts what the ones before it do. */
static void buckets_add_up(void **state)
{
	struct metrics_histogram h = { 0 };
	const char *at;

	(void)state;
	metrics_histogram_observe(&h, 0);
	metrics_histogram_observe(&h, 1000);
	metrics_histogram_observe(&h, 1001);
	metrics_histogram_observe(&h, 1800000000);
	metrics_histogram_observe(&h, 1800000001);
	metrics_text_family(&text, "t_seconds", METRICS_HISTOGRAM, "Help.");
	metrics_text_histogram(&text, METRICS_LABELS({ "s", "v" }), &h);
	at = written();
	assert_non_null(strstr(at, "\nt_seconds_bucket{s=\"v\",le=\"0.001\"} 2\n"));
	assert_non_null(strstr(at, "\nt_seconds_bucket{s=\"v\",le=\"0.0025\"} 3\n"));
	assert_non_null(strstr(at, "\nt_seconds_bucket{s=\"v\",le=\"300.0\"} 3\n"));
	assert_non_null(strstr(at, "\nt_seconds_bucket{s=\"v\",le=\"1800.0\"} 4\n"));
	assert_non_null(strstr(at, "\nt_seconds_bucket{s=\"v\",le=\"+Inf\"} 5\n"));
	assert_non_null(strstr(at, "\nt_seconds_sum{s=\"v\"} 3600.002002\n"));
	assert_non_null(strstr(at, "\nt_seconds_count{s=\"v\"} 5\n"));
}

static void openmetrics_declares_counters_without_total_and_ends(void **state)
{
	(void)state;
	text.is_openmetrics = true;
	metrics_text_single(&text, "x_total", METRICS_COUNTER, "Help.", 2);
	metrics_text_end(&text);
	assert_string_equal(written(), "# HELP x Help.\n# TYPE x counter\nx_total 2\n# EOF\n");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(values_of_labels_are_escaped, clear),
		cmocka_unit_test_teardown(numbers_keep_their_digits, clear),
		cmocka_unit_test_teardown(buckets_add_up, clear),
		cmocka_unit_test_teardown(openmetrics_declares_counters_without_total_and_ends, clear),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
