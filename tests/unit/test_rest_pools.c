/* Pools, sessions and templates over HTTP, as far as they go without a microVM. */
#include "tests/unit/http_helper.h"

#include <sqlite3.h>

#define ARM  "/subscriptions/s/resourceGroups/g/providers/Microsoft.App/sessionPools"
#define IDLE "\"scaleConfiguration\":{\"maxConcurrentSessions\":9,\"readySessionInstances\":0}"

static int put(const char *target, const char *body)
{
	return request("PUT", target, AUTHORIZED, body);
}

static int patch(const char *target, const char *body)
{
	return request("PATCH", target, AUTHORIZED, body);
}

static int get(const char *target)
{
	return request("GET", target, AUTHORIZED, "");
}

static int delete (const char *target)
{
	return request("DELETE", target, AUTHORIZED, "");
}

static int post(const char *target)
{
	return request("POST", target, AUTHORIZED, "");
}

static void a_pool_is_created_changed_and_deleted(void **state)
{
	(void)state;
	assert_int_equal(put(ARM "/p1?api-version=2025-07-01", "{\"properties\":{" IDLE "}}"), 201);
	check_has("\"id\":\"/subscriptions/s/resourceGroups/g/providers/Microsoft.App/sessionPools/p1\"");
	check_has("\"poolManagementEndpoint\":\"http://here:1/subscriptions/s/resourceGroups/g/sessionPools/p1\"");
	check_has("\"maxConcurrentSessions\":9");
	check_has("\"provisioningState\":\"Succeeded\"");
	check_has("\"instances\":{\"allocated\":0");
	assert_int_equal(put(ARM "/p1", "{\"properties\":{" IDLE "}}"), 200);
	assert_int_equal(patch(ARM "/P1", "{\"properties\":{\"scaleConfiguration\":{\"maxConcurrentSessions\":8}}}"),
			 200);
	check_has("\"name\":\"p1\"");
	assert_int_equal(get("/sessionPools/p1"), 200);
	check_has("\"id\":\"/sessionPools/p1\"");
	check_has("\"maxConcurrentSessions\":8,\"readySessionInstances\":0");
	assert_int_equal(delete (ARM "/p1"), 204);
	assert_int_equal(delete (ARM "/p1"), 204);
	assert_int_equal(get(ARM "/p1"), 404);
	check_has("ResourceNotFound");
	assert_int_equal(get(ARM "/p1/of/a/container?identifier=a"), 404);
	check_has("There is no session pool 'p1'.");
	assert_int_equal(request("GET", "/sessionPools/p1/of/a/container?identifier=a", "", ""), 401);
	assert_int_equal(get("/sessionPools/default/of/a/container?identifier=a"), 404);
	check_has("There is no such path.");
}

static void a_put_begins_anew_and_a_patch_goes_on(void **state)
{
	(void)state;
	assert_int_equal(put("/sessionPools/p2",
			     "{\"location\":\"x\",\"properties\":{" IDLE ",\"dynamicPoolConfiguration\":"
			     "{\"cooldownPeriodInSeconds\":\"99\"}}}"),
			 201);
	assert_int_equal(patch("/sessionPools/p2", "{\"tags\":{\"a\":\"b\"}}"), 200);
	check_has("\"cooldownPeriodInSeconds\":99");
	check_has("\"location\":\"x\"");
	check_has("\"tags\":{\"a\":\"b\"}");
	assert_int_equal(put("/sessionPools/p2", "{\"properties\":{" IDLE "}}"), 200);
	check_has("\"cooldownPeriodInSeconds\":300");
	check_has("\"location\":\"\"");
	check_has("\"tags\":{}");
	assert_int_equal(get("/sessionPools/p2?api-version=2024-10-02-preview"), 200);
	check_has("{\"executionType\":\"Timed\",\"cooldownPeriodInSeconds\":300}");
	assert_int_equal(delete ("/sessionPools/p2"), 204);
}

static void all_pools_are_listed_at_every_address(void **state)
{
	static const char *const targets[] = { "/sessionPools", "//sessionpools/?api-version=2025-07-01", ARM,
					       "/subscriptions/s/providers/microsoft.app/SESSIONPOOLS" };

	(void)state;
	assert_int_equal(put("/sessionPools/p3", "{\"properties\":{" IDLE "}}"), 201);
	for (size_t i = 0; i < sizeof(targets) / sizeof(targets[0]); i++) {
		assert_int_equal(get(targets[i]), 200);
		check_has("\"name\":\"default\"");
		check_has("\"name\":\"p3\"");
	}
	check_has("\"id\":\"/subscriptions/s/resourceGroups/default/providers/Microsoft.App/sessionPools/p3\"");
	assert_int_equal(put("/sessionPools", "{}"), 405);
	assert_int_equal(delete ("/sessionPools/p3"), 204);
}

static void the_default_pool_is_there_and_stays(void **state)
{
	(void)state;
	assert_int_equal(get("/sessionPools/Default"), 200);
	check_has("\"maxConcurrentSessions\":2");
	assert_int_equal(delete ("/sessionPools/DEFAULT"), 409);
	assert_int_equal(patch("/sessionPools/default", "{\"properties\":{\"scaleConfiguration\":"
							"{\"maxConcurrentSessions\":3}}}"),
			 200);
	check_has("\"maxConcurrentSessions\":3,\"readySessionInstances\":0");
}

static void what_is_refused_changes_nothing(void **state)
{
	static const char *const bad[] = {
		"{\"properties\":{\"scaleConfiguration\":{\"maxConcurrentSessions\":0}}}",
		"{\"properties\":{\"dynamicPoolConfiguration\":{\"executionType\":\"MaxLifetime\","
		"\"cooldownPeriodInSeconds\":59}}}",
		"{\"properties\":{\"dynamicPoolConfiguration\":{\"cooldownPeriodInSeconds\":59}}}",
		"{\"properties\":{\"sessionNetworkConfiguration\":{\"egressPolicy\":{\"allow\":[\"10.0.0.1/8\"]}}}}",
		"{\"properties\":{\"sessionNetworkConfiguration\":{\"egressPolicy\":{\"defaultAction\":\"Ask\"}}}}",
		"{\"properties\":{\"sessionNetworkConfiguration\":{\"egressPolicy\":{\"deny\":[7]}}}}",
		"{\"properties\":{\"templateName\":\"../x\"}}",
		"{\"properties\":{\"containerType\":\"Cobol\"}}",
		"{\"properties\":7}",
		"[]",
		"{",
		"",
	};

	(void)state;
	assert_int_equal(put("/sessionPools/p4", "{\"properties\":{" IDLE "}}"), 201);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		assert_int_equal(patch("/sessionPools/p4", bad[i]), 400);
		assert_int_equal(put("/sessionPools/p4", bad[i]), 400);
		assert_int_equal(put("/sessionPools/p5", bad[i]), 400);
		assert_int_equal(get("/sessionPools/p5"), 404);
	}
	assert_int_equal(patch("/sessionPools/p4", "{\"properties\":{\"containerType\":\"NodeLTS\"}}"), 409);
	check_has("PropertyChangeNotAllowed");
	assert_int_equal(patch("/sessionPools/p4", "{\"properties\":{\"containerType\":\"CustomContainer\"}}"), 409);
	check_has("the pool is of type PythonLTS");
	assert_int_equal(patch("/sessionPools/p4", "{\"properties\":{\"templateName\":\"none\"}}"), 404);
	check_has("TemplateNotFound");
	assert_int_equal(patch("/sessionPools/p5", "{}"), 404);
	assert_int_equal(put("/sessionPools/p_5", "{}"), 400);
	assert_int_equal(put("/sessionPools/%FF%FF", "{}"), 400);
	assert_int_equal(get("/sessionPools/%FF%FF"), 404);
	assert_int_equal(delete ("/sessionPools/%FF%FF"), 400);
	assert_int_equal(put("/sessionPools/p4?api-version=newest", "{}"), 400);
	check_has("InvalidApiVersion");
	assert_int_equal(get("/sessionPools/p4"), 200);
	check_has("\"maxConcurrentSessions\":9,\"readySessionInstances\":0");
	check_has("\"cooldownPeriodInSeconds\":300");
	assert_int_equal(delete ("/sessionPools/p4"), 204);
}

/* az sends 5 where nobody has named a number, whatever the maximum is. */
static void no_more_wait_ready_than_there_may_be(void **state)
{
	(void)state;
	assert_int_equal(put("/sessionPools/p6", "{\"properties\":{\"scaleConfiguration\":"
						 "{\"readySessionInstances\":5,\"maxConcurrentSessions\":2}}}"),
			 201);
	check_has("\"maxConcurrentSessions\":2,\"readySessionInstances\":2");
	assert_int_equal(delete ("/sessionPools/p6"), 204);
}

/* What a client puts into its own URL and headers comes back as data, and as nothing else. */
static void odd_addresses_come_back_encoded(void **state)
{
	(void)state;
	assert_int_equal(get("/subscriptions/a%22%2F%3Fb/resourceGroups/%C3%A4/sessionPools/default"), 200);
	check_has("\"id\":\"/subscriptions/a%22%2F%3Fb/resourceGroups/%C3%A4/providers/Microsoft.App/sessionPools/"
		  "default\"");
	assert_int_equal(ask("GET /sessionPools/default HTTP/1.1\r\nHost: a\"b\r\n" AUTHORIZED "\r\n"), 200);
	check_has("\"poolManagementEndpoint\":\"/sessionPools/default\"");
	assert_int_equal(ask("GET /sessionPools/default HTTP/1.1\r\nHost: hearth.example\r\nX-Forwarded-Proto: "
			     "https\r\n" AUTHORIZED "\r\n"),
			 200);
	check_has("\"poolManagementEndpoint\":\"https://hearth.example/sessionPools/default\"");
}

static void pools_are_there_again_after_a_restart(void **state)
{
	(void)state;
	assert_int_equal(put("/sessionPools/p6", "{\"properties\":{" IDLE ",\"resources\":{\"memory\":\"0.5Gi\"}}}"),
			 201);
	assert_int_equal(patch("/sessionPools/default", "{\"properties\":{\"scaleConfiguration\":"
							"{\"maxConcurrentSessions\":4}}}"),
			 200);
	pools_stop(service.pools);
	usage_destroy(service.usage);
	run_loop_for(50);
	pools_destroy(service.pools);
	templates_destroy(service.templates);
	usage_store_close(service.usage_store);
	mcp_keys_close(service.mcp_keys);
	api_keys_close(service.auth.keys);
	pool_store_close(service.store);
	run_loop_for(5);
	start_pools();
	assert_int_equal(get("/sessionPools/p6"), 200);
	check_has("\"memory\":\"0.5Gi\"");
	check_has("\"maxConcurrentSessions\":9");
	assert_int_equal(get("/sessionPools/default"), 200);
	check_has("\"maxConcurrentSessions\":4");
	assert_int_equal(delete ("/sessionPools/p6"), 204);
}

/* Somebody holds the database: what cannot be kept is not done either. */
static void what_cannot_be_stored_is_undone(void **state)
{
	sqlite3 *other;

	(void)state;
	assert_int_equal(put("/sessionPools/p7", "{\"properties\":{" IDLE "}}"), 201);
	assert_int_equal(sqlite3_open(paths[DATABASE], &other), SQLITE_OK);
	assert_int_equal(sqlite3_exec(other, "BEGIN EXCLUSIVE", NULL, NULL, NULL), SQLITE_OK);
	assert_int_equal(patch("/sessionPools/p7", "{\"properties\":{\"scaleConfiguration\":"
						   "{\"maxConcurrentSessions\":5}}}"),
			 503);
	check_has("StorageBusy");
	assert_int_equal(put("/sessionPools/p8", "{\"properties\":{" IDLE "}}"), 503);
	assert_int_equal(delete ("/sessionPools/p7"), 503);
	assert_int_equal(sqlite3_exec(other, "ROLLBACK", NULL, NULL, NULL), SQLITE_OK);
	sqlite3_close(other);
	assert_int_equal(pool_definition_of(pools_find(service.pools, "p7"))->max_concurrent_sessions, 9);
	assert_int_equal(get("/sessionPools/p8"), 404);
	assert_int_equal(delete ("/sessionPools/p7"), 204);
}

static void management_needs_the_token(void **state)
{
	static const char *const calls[][2] = {
		{ "GET", "/sessionPools" },
		{ "GET", ARM },
		{ "GET", "/sessionPools/default" },
		{ "PUT", "/sessionPools/p9" },
		{ "PATCH", "/sessionPools/default" },
		{ "DELETE", "/sessionPools/default" },
		{ "GET", "/session?identifier=a" },
		{ "GET", "/listSessions" },
		{ "POST", "/session/fork?identifier=a&target=b" },
		{ "POST", "/session/suspend?identifier=a" },
		{ "GET", "/templates" },
		{ "PUT", "/templates/t1" },
		{ "DELETE", "/templates/t1" },
		{ "POST", "/.management/getSession?identifier=a" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(calls) / sizeof(calls[0]); i++) {
		assert_int_equal(request(calls[i][0], calls[i][1], "", "{}"), 401);
		check_has_not("default");
	}
}

static void sessions_of_an_unknown_pool_are_not_found(void **state)
{
	static const char *const calls[][2] = {
		{ "POST", "executions" },     { "POST", "code/execute" },
		{ "GET", "session" },         { "DELETE", "session" },
		{ "GET", "listSessions" },    { "POST", "session/fork" },
		{ "POST", "session/stop" },   { "POST", "session/suspend" },
		{ "POST", "session/resume" }, { "POST", ".management/stopSession" },
	};
	char target[128];

	(void)state;
	for (size_t i = 0; i < sizeof(calls) / sizeof(calls[0]); i++) {
		snprintf(target, sizeof(target), "/sessionPools/none/%s?identifier=a&target=b", calls[i][1]);
		assert_int_equal(request(calls[i][0], target, AUTHORIZED, "{\"code\":\"1\"}"), 404);
		check_has("There is no session pool 'none'.");
	}
	assert_int_equal(get("/sessionPools/%C3%28/listSessions"), 404);
}

static void sessions_that_do_not_exist_are_told_in_each_shape(void **state)
{
	(void)state;
	assert_int_equal(get("/session?identifier=a"), 404);
	check_has("NoSessionFoundError");
	assert_int_equal(post("/.management/getSession?identifier=a"), 400);
	check_has("SessionWithIdentifierNotFound");
	assert_int_equal(post("/.management/stopSession?identifier=a"), 400);
	check_has("Failed to stop session, session not found.");
	assert_int_equal(post("/session/stop?identifier=a"), 404);
	assert_int_equal(post("/session/fork?identifier=a&target=b"), 404);
	check_has("NoSessionFoundError");
	assert_int_equal(post("/session/suspend?identifier=a"), 404);
	assert_int_equal(post("/session/resume?identifier=a"), 404);
	assert_int_equal(get("/listSessions"), 200);
	check_has("{\"sessions\":[],\"count\":0,\"nextLink\":null}");
	assert_int_equal(post("/.management/listSessions?skip=99999999999999999999"), 200);
	check_has("{\"value\":[],\"count\":0,\"nextLink\":null}");
}

static void names_of_forks_are_checked(void **state)
{
	static const char *const bad[] = { "", "&target=", "&target=%01", "&target=%C3%A4" };
	char target[400];

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		snprintf(target, sizeof(target), "/session/fork?identifier=a%s", bad[i]);
		assert_int_equal(post(target), 400);
		check_has("'target'");
	}
	snprintf(target, sizeof(target), "/session/fork?identifier=a&target=%0257d", 1);
	assert_int_equal(post(target), 400);
	assert_int_equal(post("/session/fork?target=b"), 400);
	check_has("'identifier' is missing");
}

static void templates_are_checked_before_they_are_made(void **state)
{
	(void)state;
	assert_int_equal(get("/templates"), 200);
	check_has("{\"value\":[]}");
	assert_int_equal(get("/templates/t1"), 404);
	check_has("TemplateNotFound");
	assert_int_equal(delete ("/templates/t1"), 404);
	assert_int_equal(get("/templates/%2E%2E"), 400);
	assert_int_equal(put("/templates/a%2Fb", "{\"fromSession\":\"a\"}"), 400);
	assert_int_equal(put("/templates/t1", "{\"fromSession\":\"a\"}"), 404);
	check_has("NoSessionFoundError");
	assert_int_equal(put("/templates/t1", "{}"), 400);
	assert_int_equal(put("/templates/t1", "{\"fromSession\":3}"), 400);
	assert_int_equal(put("/templates/t1", "{\"fromSession\":\"\\u0000\"}"), 400);
	assert_int_equal(put("/templates/t1", "nonsense"), 400);
	assert_int_equal(post("/templates/t1"), 405);
	check_has("Allow: GET, PUT, DELETE");
	assert_int_equal(get("/templates/t1/more"), 404);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_pool_is_created_changed_and_deleted),
		cmocka_unit_test(a_put_begins_anew_and_a_patch_goes_on),
		cmocka_unit_test(all_pools_are_listed_at_every_address),
		cmocka_unit_test(the_default_pool_is_there_and_stays),
		cmocka_unit_test(what_is_refused_changes_nothing),
		cmocka_unit_test(no_more_wait_ready_than_there_may_be),
		cmocka_unit_test(odd_addresses_come_back_encoded),
		cmocka_unit_test(pools_are_there_again_after_a_restart),
		cmocka_unit_test(what_cannot_be_stored_is_undone),
		cmocka_unit_test(management_needs_the_token),
		cmocka_unit_test(sessions_of_an_unknown_pool_are_not_found),
		cmocka_unit_test(sessions_that_do_not_exist_are_told_in_each_shape),
		cmocka_unit_test(names_of_forks_are_checked),
		cmocka_unit_test(templates_are_checked_before_they_are_made),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
