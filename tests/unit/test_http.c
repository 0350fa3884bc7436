/*
 * The REST surface over a real connection: server, router, permissions, bodies and errors, with the sessions behind
 * them. Their microVMs cannot start here (the VMM is /bin/false): what a microVM does is for the end-to-end tests.
 */
#include "api/http_server.h"
#include "api/microvm_directory.h"
#include "api/router.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <arpa/inet.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#define TOKEN      "0123456789abcdef"
#define AUTHORIZED "Authorization: Bearer " TOKEN "\r\n"

static uv_loop_t loop;
static struct microvm_host host;
static struct service service;
static struct http_server *server;
static char runtime[] = "/tmp/test-http-XXXXXX";
static char snapshots[] = "/tmp/test-http-templates-XXXXXX";

static char answer[64 << 10];
static size_t n_answer;

static int connect_to_server(void)
{
	struct sockaddr_in address = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	address.sin_port = htons((uint16_t)atoi(strrchr(http_server_address(server), ':') + 1));
	assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	return fd;
}

static void run_loop_for(unsigned int rounds)
{
	while (rounds--) {
		uv_run(&loop, UV_RUN_NOWAIT);
		usleep(1000);
	}
}

/* Sends bytes while the loop runs, since the server reads only then. */
static void send_all(int fd, const char *data, size_t size)
{
	while (size) {
		ssize_t n = send(fd, data, size, MSG_DONTWAIT | MSG_NOSIGNAL);

		uv_run(&loop, UV_RUN_NOWAIT);
		if (n < 0)
			continue;
		data += n;
		size -= (size_t)n;
	}
}

/* True once the answer's headers and as many bytes as Content-Length says are there. */
static bool is_complete(void)
{
	const char *end = strstr(answer, "\r\n\r\n"), *length = strcasestr(answer, "\r\nContent-Length: ");

	return end && (!length || strlen(end + 4) >= strtoul(length + 18, NULL, 10));
}

static void receive(int fd)
{
	n_answer = 0;
	answer[0] = '\0';
	for (int i = 0; i < 5000 && !is_complete(); i++) {
		ssize_t n = recv(fd, answer + n_answer, sizeof(answer) - 1 - n_answer, MSG_DONTWAIT);

		if (n == 0)
			return;
		if (n > 0)
			answer[n_answer += (size_t)n] = '\0';
		run_loop_for(1);
	}
}

/* Sends a whole request on a connection of its own; `answer` holds what came back. Returns its status. */
static int ask(const char *request)
{
	int fd = connect_to_server();

	send_all(fd, request, strlen(request));
	receive(fd);
	close(fd);
	run_loop_for(5);
	return n_answer > 12 ? atoi(answer + 9) : 0;
}

static int post(const char *target, const char *headers, const char *body)
{
	static char request[8192];

	snprintf(request, sizeof(request), "POST %s HTTP/1.1\r\nHost: x\r\n%sContent-Length: %zu\r\n\r\n%s", target,
		 headers, strlen(body), body);
	return ask(request);
}

static void check_has(const char *part)
{
	if (!strstr(answer, part))
		fail_msg("\"%s\" is not in \"%s\"", part, answer);
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
		post("/executions?identifier=a", AUTHORIZED, "{\"code\":\"1\",\"executionType\":\"asynchronous\"}"),
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

static void on_templates_changed(void *data)
{
	(void)data;
}

static int set_up(void **state)
{
	const struct http_handler handler = { router_begin, router_complete, &service };
	const struct http_server_settings http = { "127.0.0.1:0", 50, 1, 64 << 20 };
	const struct pools_settings settings = {
		.sessions = { .max_queued = 4, .start_grace_ms = 1000, .answer_grace_ms = 1000 },
		.refill_concurrency = 1,
	};
	struct pool_definition definition = pool_definition_default(POOL_DEFAULT_NAME);
	struct error err;

	(void)state;
	uv_loop_init(&loop);
	assert_non_null(mkdtemp(runtime));
	assert_non_null(mkdtemp(snapshots));
	host = (struct microvm_host) { .loop = &loop,
				       .runtime_directory = runtime,
				       .vmm = "/bin/false",
				       .kernel = "k",
				       .image = "i",
				       .kernel_arguments = "",
				       .boot_timeout_ms = 5000 };
	service =
		(struct service) { .loop = &loop,
				   .default_timeout_s = 1,
				   .max_timeout_s = 2,
				   .output_limit = 4096,
				   .templates = templates_create(&host, snapshots, on_templates_changed, NULL, &err) };
	assert_non_null(service.templates);
	service.pools = pools_create(&host, service.templates, &settings);
	assert_non_null(service.pools);
	definition.max_concurrent_sessions = 2;
	definition.ready_session_instances = 0;
	assert_int_equal(pools_put(service.pools, &definition, &err), 0);
	pools_adopt(service.pools);
	strcpy(service.auth.token, TOKEN);
	service.auth.token_size = strlen(TOKEN);
	server = http_server_create(&loop, &http, &handler, &err);
	return server ? 0 : -1;
}

static int tear_down(void **state)
{
	char path[sizeof(snapshots) + 8];

	(void)state;
	pools_stop(service.pools);
	http_server_destroy(server);
	uv_run(&loop, UV_RUN_DEFAULT);
	pools_destroy(service.pools);
	templates_destroy(service.templates);
	assert_int_equal(uv_loop_close(&loop), 0);
	assert_int_equal(rmdir(runtime), 0); /* nothing was left in it */
	snprintf(path, sizeof(path), "%s/user", snapshots);
	assert_int_equal(rmdir(path), 0);
	assert_int_equal(rmdir(snapshots), 0);
	return 0;
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
