/*
 * The REST surface over a real connection: server, router, permissions, bodies and errors, with the sessions behind
 * them. Their microVMs cannot start here (the VMM is /bin/false): what a microVM does is for the end-to-end tests.
 */
#include "tests/unit/http_helper.h"

static int post(const char *target, const char *headers, const char *body)
{
	return request("POST", target, headers, body);
}

static void health_needs_no_token(void **state)
{
	(void)state;
	assert_int_equal(ask("GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"), 200);
	check_has("\"status\":\"ok\"");
	check_has("\"version\":");
}

static void execution_needs_the_token(void **state)
{
	(void)state;
	assert_int_equal(post("/code/execute?identifier=a", "", "{\"code\":\"1\"}"), 401);
	check_has("WWW-Authenticate: Bearer");
	check_has("x-ms-error-code: Unauthorized");
	assert_int_equal(post("/executions?identifier=a", "Authorization: Bearer wrong\r\n", "{\"code\":\"1\"}"), 401);
}

static void unknown_paths_and_methods_are_told_apart(void **state)
{
	(void)state;
	assert_int_equal(ask("GET / HTTP/1.1\r\nHost: x\r\n\r\n"), 404);
	assert_int_equal(post("/code", AUTHORIZED, "{}"), 404);
	assert_int_equal(post("/code/execute/more", AUTHORIZED, "{}"), 404);
	assert_int_equal(post("/codex/execute", AUTHORIZED, "{}"), 404);
	assert_int_equal(ask("GET /executions HTTP/1.1\r\nHost: x\r\n\r\n"), 405);
	check_has("Allow: POST");
	assert_int_equal(ask("DELETE /healthz HTTP/1.1\r\nHost: x\r\n\r\n"), 405);
}

static void every_form_of_the_address_leads_to_the_handler(void **state)
{
	static const char *const targets[] = {
		"/code/execute?identifier=a",
		"//execute/?api-version=2024-02-02-preview&identifier=a",
		"/python/execute?identifier=a",
		"/executions?Identifier=a",
		"/identifier/a/code/execute",
		"/sessionPools/default/executions?identifier=a",
		"/subscriptions/s/resourcegroups/r/sessionpools/Default/identifier/a/executions",
		"http://elsewhere/SUBSCRIPTIONS/s/ResourceGroups/r/SessionPools/DEFAULT/code/execute?identifier=a",
	};

	(void)state;
	for (size_t i = 0; i < sizeof(targets) / sizeof(targets[0]); i++) {
		/* The handler's own word that it was reached. */
		assert_int_equal(post(targets[i], AUTHORIZED, "{}"), 400);
		check_has("SessionPropertiesMissing");
	}
	assert_int_equal(post("/sessionPools/p/executions?identifier=a", AUTHORIZED, "{}"), 404);
	check_has("ResourceNotFound");
}

static void bad_bodies_get_the_right_answer(void **state)
{
	(void)state;
	assert_int_equal(post("/code/execute?identifier=a", AUTHORIZED, "{"), 400);
	check_has("application/problem+json");
	check_has("\"errors\":{");
	assert_int_equal(post("/code/execute?identifier=a", AUTHORIZED, "{\"code\":1}"), 400);
	check_has("'code' must be a string");
	assert_int_equal(
		post("/code/execute?identifier=a", AUTHORIZED, "{\"code\":\"1\",\"executionType\":\"asynchronous\"}"),
		400);
	check_has("SessionRequestNotSupported");
}

static void bad_identifiers_and_versions_get_the_right_answer(void **state)
{
	static char target[700];

	(void)state;
	assert_int_equal(post("/code/execute", AUTHORIZED, "{\"code\":\"1\"}"), 400);
	check_has("'identifier' is missing");
	assert_int_equal(post("/code/execute?identifier=%C3%A9", AUTHORIZED, "{\"code\":\"1\"}"), 400);
	assert_int_equal(post("/code/execute?identifier=a%00", AUTHORIZED, "{\"code\":\"1\"}"), 400);
	snprintf(target, sizeof(target), "/code/execute?identifier=%0257d", 1);
	assert_int_equal(post(target, AUTHORIZED, "{\"code\":\"1\"}"), 400);
	check_has("longer than 256");
	assert_int_equal(post("/code/execute?identifier=a&api-version=latest", AUTHORIZED, "{\"code\":\"1\"}"), 400);
	check_has("InvalidApiVersion");
}

static void a_declared_body_that_is_too_large_is_refused_before_it_comes(void **state)
{
	(void)state;
	assert_int_equal(ask("POST /code/execute?identifier=a HTTP/1.1\r\nHost: x\r\n" AUTHORIZED
			     "Expect: 100-continue\r\nContent-Length: 99999999\r\n\r\n"),
			 413);
	check_has("RequestBodyTooLarge");
	assert_int_equal(ask("POST /code/execute?identifier=a HTTP/1.1\r\nHost: x\r\n"
			     "Expect: 100-continue\r\nContent-Length: 99999999\r\n\r\n"),
			 401);
}

static void chunked_bodies_are_taken_and_bounded(void **state)
{
	static char chunk[0x8000 + 16];
	int fd;

	(void)state;
	assert_int_equal(ask("POST /code/execute?identifier=a HTTP/1.1\r\nHost: x\r\n" AUTHORIZED
			     "Transfer-Encoding: chunked\r\n\r\n1\r\n{\r\n1\r\n}\r\n0\r\n\r\n"),
			 400);
	check_has("SessionPropertiesMissing");

	/* .management/stopSession takes 64 KiB; what comes beyond is read and dropped. */
	fd = connect_to_server();
	snprintf(chunk, sizeof(chunk),
		 "POST /.management/stopSession?identifier=a HTTP/1.1\r\nHost: x\r\n" AUTHORIZED
		 "Transfer-Encoding: chunked\r\n\r\n");
	send_all(fd, chunk, strlen(chunk));
	memset(chunk, 'x', sizeof(chunk));
	memcpy(chunk, "8000\r\n", 6);
	memcpy(chunk + 6 + 0x8000, "\r\n", 2);
	for (int i = 0; i < 4; i++)
		send_all(fd, chunk, 6 + 0x8000 + 2);
	send_all(fd, "0\r\n\r\n", 5);
	receive(fd);
	check_has("HTTP/1.1 413");
	close(fd);
	run_loop_for(5);
}

static void a_session_that_cannot_start_is_told_with_its_reason(void **state)
{
	(void)state;
	assert_int_equal(post("/code/execute?identifier=a", AUTHORIZED, "{\"code\":\"1\"}"), 500);
	check_has("SessionAllocationFailed");
	check_has("the host could not provide");
	assert_int_equal(host.n_microvms, 0);
	assert_int_equal(sessions_count(pool_sessions(pools_find(service.pools, NULL))).n_sessions, 0);
	/* The same as events: nothing had begun, so it is a plain error. */
	assert_int_equal(
		post("/code/execute?identifier=a", AUTHORIZED "Accept: text/event-stream\r\n", "{\"code\":\"1\"}"),
		500);
}

static void a_client_that_goes_leaves_nothing(void **state)
{
	static const char request[] = "POST /code/execute?identifier=g HTTP/1.1\r\nHost: x\r\n" AUTHORIZED
				      "Content-Length: 12\r\n\r\n{\"code\":\"1\"}";

	(void)state;
	for (size_t size = 1; size <= sizeof(request) - 1; size += 7) {
		int fd = connect_to_server();

		send_all(fd, request, size);
		close(fd);
		run_loop_for(5);
	}
	/* The library sees a hang-up that comes with data only when the idle time is over. */
	for (int i = 0; i < 4000 && http_server_n_requests(server); i++)
		run_loop_for(1);
	assert_int_equal(http_server_n_requests(server), 0);
	assert_int_equal(host.n_microvms, 0);
}

static void sessions_can_be_ended_by_name(void **state)
{
	(void)state;
	assert_int_equal(ask("DELETE /session?identifier=none HTTP/1.1\r\nHost: x\r\n" AUTHORIZED "\r\n"), 404);
	check_has("NoSessionFoundError");
	check_has("Could not find session with name 'none'.");
	assert_int_equal(post("/.management/stopSession?identifier=none", AUTHORIZED, ""), 400);
	check_has("text/plain");
	check_has("Failed to stop session, session not found.");
}

static void a_stopping_service_says_so(void **state)
{
	(void)state;
	service.is_stopping = true;
	assert_int_equal(post("/code/execute?identifier=a", AUTHORIZED, "{\"code\":\"1\"}"), 503);
	check_has("Retry-After:");
	assert_int_equal(ask("GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"), 503);
	service.is_stopping = false;
}

static void two_requests_share_a_connection(void **state)
{
	static const char request[] = "GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n";
	int fd = connect_to_server();

	(void)state;
	for (int i = 0; i < 2; i++) {
		send_all(fd, request, strlen(request));
		receive(fd);
		check_has("HTTP/1.1 200");
	}
	close(fd);
	run_loop_for(5);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(health_needs_no_token),
		cmocka_unit_test(execution_needs_the_token),
		cmocka_unit_test(unknown_paths_and_methods_are_told_apart),
		cmocka_unit_test(every_form_of_the_address_leads_to_the_handler),
		cmocka_unit_test(bad_bodies_get_the_right_answer),
		cmocka_unit_test(bad_identifiers_and_versions_get_the_right_answer),
		cmocka_unit_test(a_declared_body_that_is_too_large_is_refused_before_it_comes),
		cmocka_unit_test(chunked_bodies_are_taken_and_bounded),
		cmocka_unit_test(a_session_that_cannot_start_is_told_with_its_reason),
		cmocka_unit_test(a_client_that_goes_leaves_nothing),
		cmocka_unit_test(sessions_can_be_ended_by_name),
		cmocka_unit_test(a_stopping_service_says_so),
		cmocka_unit_test(two_requests_share_a_connection),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
