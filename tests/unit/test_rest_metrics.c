/* Metrics over HTTP, without a microVM. */
#include "tests/unit/http_helper.h"

static int get(const char *target)
{
	return request("GET", target, AUTHORIZED, "");
}

static void a_token_is_needed_unless_the_settings_say_otherwise(void **state)
{
	(void)state;
	assert_int_equal(request("GET", "/metrics", "", ""), 401);
	service.is_metrics_open = true;
	assert_int_equal(request("GET", "/metrics", "", ""), 200);
	assert_int_equal(request("GET", "/session?identifier=a", "", ""), 401);
	service.is_metrics_open = false;
	assert_int_equal(request("GET", "/metrics", "", ""), 401);
	assert_int_equal(request("POST", "/metrics", AUTHORIZED, ""), 405);
}

static void the_format_is_what_the_client_asks_for(void **state)
{
	(void)state;
	assert_int_equal(get("/metrics"), 200);
	check_has("\r\nContent-Type: text/plain; version=0.0.4; charset=utf-8\r\n");
	check_has_not("# EOF");
	assert_int_equal(request("GET", "/metrics",
				 AUTHORIZED "Accept: application/openmetrics-text;version=1.0.0;q=0.8,*/*;q=0.1\r\n",
				 ""),
			 200);
	check_has("\r\nContent-Type: application/openmetrics-text; version=1.0.0; charset=utf-8\r\n");
	check_has("\n# EOF\n");
}

static void requests_and_errors_are_counted(void **state)
{
	static const char code[] = "{\"code\":\"1\"}";

	(void)state;
	assert_int_equal(get("/sessionPools/default"), 200);
	assert_int_equal(get("/session?identifier=a"), 404);
	assert_int_equal(get("/no-such-path"), 404);
	assert_int_equal(request("POST", "/executions?identifier=a", AUTHORIZED, code), 500);
	assert_int_equal(get("/metrics"), 200);
	check_has("\nhearth_http_requests_total{route=\"pool\",code=\"200\"} 1\n");
	check_has("\nhearth_http_requests_total{route=\"session\",code=\"404\"} 1\n");
	check_has("\nhearth_http_requests_total{route=\"none\",code=\"404\"} 1\n");
	check_has("\nhearth_http_requests_total{route=\"execution\",code=\"500\"} 1\n");
	check_has("\nhearth_errors_total{reason=\"allocation_failed\"} 1\n");
	check_has("\nhearth_errors_total{reason=\"pool_full\"} 0\n");
	check_has("\nhearth_errors_total{reason=\"unauthorized\"} 3\n");
}

static void pools_have_gauges_while_they_exist(void **state)
{
	(void)state;
	assert_int_equal(get("/metrics"), 200);
	check_has("\nhearth_pool_max_sessions{pool=\"default\"} 2\n");
	check_has("\nhearth_pool_sessions{pool=\"default\",state=\"busy\"} 0\n");
	check_has_not("p-metrics");
	assert_int_equal(request("PUT", "/sessionPools/p-metrics", AUTHORIZED,
				 "{\"properties\":{\"scaleConfiguration\":{\"maxConcurrentSessions\":9,"
				 "\"readySessionInstances\":0}}}"),
			 201);
	assert_int_equal(get("/metrics"), 200);
	check_has("\nhearth_pool_max_sessions{pool=\"p-metrics\"} 9\n");
	assert_int_equal(get("/sessionPools/p-metrics/metrics"), 404);
	assert_int_equal(request("DELETE", "/sessionPools/p-metrics", AUTHORIZED, ""), 204);
	assert_int_equal(get("/metrics"), 200);
	check_has_not("p-metrics");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_token_is_needed_unless_the_settings_say_otherwise),
		cmocka_unit_test(the_format_is_what_the_client_asks_for),
		cmocka_unit_test(requests_and_errors_are_counted),
		cmocka_unit_test(pools_have_gauges_while_they_exist),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
