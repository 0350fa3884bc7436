/* The routes of files over HTTP, as far as they go without a microVM: what is refused, and how it ends when there is none. */
#include "tests/unit/http_helper.h"

#define UPLOAD "Content-Type: multipart/form-data; boundary=b\r\n" AUTHORIZED
#define PART   "--b\r\nContent-Disposition: form-data; name=\"file\"; filename="
#define END    "\r\n--b--\r\n"

static int get(const char *target)
{
	return request("GET", target, AUTHORIZED, "");
}

static int post(const char *target, const char *body)
{
	return request("POST", target, UPLOAD, body);
}

static void check_nothing_is_left(void)
{
	/* The library may see the end of a connection at its idle time only, a second here. */
	for (int i = 0; i < 20 && http_server_n_requests(server) + host.n_microvms; i++)
		run_loop_for(100);
	assert_int_equal(http_server_n_requests(server), 0);
	assert_int_equal(host.n_microvms, 0);
}

static void files_need_the_token(void **state)
{
	(void)state;
	assert_int_equal(request("GET", "/files?identifier=a", "", ""), 401);
	assert_int_equal(request("POST", "/files?identifier=a", "", PART "a\r\n\r\nx" END), 401);
	assert_int_equal(request("GET", "/files/a/content?identifier=a", "", ""), 401);
	assert_int_equal(request("DELETE", "/files/a?identifier=a", "", ""), 401);
}

static void addresses_are_checked_first(void **state)
{
	(void)state;
	assert_int_equal(get("/files"), 400);
	check_has("identifier");
	assert_int_equal(post("/files", PART "a\r\n\r\nx" END), 400);
	check_has("identifier");
	assert_int_equal(get("/files?identifier=a&api-version=x"), 400);
	check_has("InvalidApiVersion");
	assert_int_equal(get("/sessionPools/none/files?identifier=a"), 404);
	check_has("ResourceNotFound");
	assert_int_equal(post("/sessionPools/none/files?identifier=a", PART "a\r\n\r\nx" END), 404);
	assert_int_equal(request("PUT", "/files/a?identifier=a", AUTHORIZED, ""), 405);
	check_has("Allow: GET, DELETE");
}

static void bad_names_and_folders_are_refused(void **state)
{
	static const char *const targets[] = {
		"/files?identifier=a&path=..",           "/files?identifier=a&path=a/../b",
		"/files?identifier=a&path=%0A",          "/files/..?identifier=a",
		"/files/../content?identifier=a",        "/files/a%2F..%2Fb/content?identifier=a",
		"/files/content/..?identifier=a",        "/files/%FF?identifier=a",
		"/files/a/content?identifier=a&path=..",
	};

	(void)state;
	for (size_t i = 0; i < sizeof(targets) / sizeof(targets[0]); i++) {
		assert_int_equal(get(targets[i]), 400);
		check_has("FilePathInvalid");
	}
	assert_int_equal(post("/files?identifier=a", PART "\"../a\"\r\n\r\nx" END), 400);
	check_has("FilePathInvalid");
	assert_int_equal(post("/files?identifier=a&path=..", PART "\"a\"\r\n\r\nx" END), 400);
	check_has("FilePathInvalid");
	check_nothing_is_left();
}

static void bodies_without_a_file_are_refused(void **state)
{
	static const char *const bodies[] = { "",
					      "x",
					      "--b",
					      "--b--" END,
					      "--b\r\n",
					      END,
					      "--b\r\n\r\nx" END,
					      "--b\r\nContent-Disposition: x\r\n\r\nx" END };

	(void)state;
	for (size_t i = 0; i < sizeof(bodies) / sizeof(bodies[0]); i++) {
		assert_int_equal(post("/files/upload?identifier=a", bodies[i]), 400);
		check_has("SessionRequestValidationFailed");
	}
	check_nothing_is_left();
}

static void a_session_that_cannot_start_is_told(void **state)
{
	(void)state;
	assert_int_equal(get("/files?identifier=a"), 500);
	check_has("SessionAllocationFailed");
	assert_int_equal(get("/files/a/content?identifier=a"), 500);
	assert_int_equal(request("DELETE", "/files/a?identifier=a", AUTHORIZED, ""), 500);
	assert_int_equal(post("/files?identifier=a", PART "a\r\n\r\nx" END), 500);
	check_has("SessionAllocationFailed");
	check_nothing_is_left();
}

/* The whole of a body that is not wanted is read, or the client would see no answer. */
static void an_early_answer_waits_for_the_body(void **state)
{
	static const char head[] = "POST /files?identifier=a HTTP/1.1\r\nHost: x\r\n" UPLOAD
				   "Content-Length: 600000\r\n\r\n";
	static const char health[] = "GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n";
	static char body[600000] = PART "a\r\n\r\n";
	int fd = connect_to_server();

	(void)state;
	send_all(fd, head, strlen(head));
	send_all(fd, body, sizeof(body));
	receive(fd);
	check_has("HTTP/1.1 500");
	/* The connection is still good. */
	send_all(fd, health, strlen(health));
	receive(fd);
	check_has("HTTP/1.1 200");
	close(fd);
	check_nothing_is_left();
}

/* The service's own limit is 1 MiB here. */
static void a_pool_may_have_a_limit_of_its_own(void **state)
{
	static const char declared[] = "POST /sessionPools/large/files?identifier=a HTTP/1.1\r\nHost: x\r\n" UPLOAD
				       "Content-Length: 5000000\r\n\r\n";
	static const char wrong[] = "POST /sessionPools/large/files?identifier=a HTTP/1.1\r\nHost: x\r\n" UPLOAD
				    "Content-Length: 5000000\r\n\r\n--b no part\r\n";
	static char rest[5000000 - 13];
	int fd;

	(void)state;
	assert_int_equal(request("PUT", "/sessionPools/large", AUTHORIZED,
				 "{\"properties\":{\"maxFileSizeInMib\":2,\"scaleConfiguration\":"
				 "{\"readySessionInstances\":0}}}"),
			 201);
	fd = connect_to_server();
	send_all(fd, declared, strlen(declared));
	send_all(fd, rest, sizeof(rest));
	send_all(fd, rest, 13);
	receive(fd);
	close(fd);
	check_has("HTTP/1.1 413");
	check_has("larger than 2 MiB");
	assert_int_equal(
		request("PATCH", "/sessionPools/large", AUTHORIZED, "{\"properties\":{\"maxFileSizeInMib\":\"8\"}}"),
		200);
	fd = connect_to_server();
	send_all(fd, wrong, strlen(wrong));
	send_all(fd, rest, sizeof(rest));
	receive(fd);
	check_has("HTTP/1.1 400");
	close(fd);
	assert_int_equal(request("DELETE", "/sessionPools/large", AUTHORIZED, ""), 204);
	check_nothing_is_left();
}

static void too_much_is_refused(void **state)
{
	static const char declared[] = "POST /files?identifier=a HTTP/1.1\r\nHost: x\r\n" UPLOAD
				       "Content-Length: 5000000000\r\n\r\n";
	static const char chunked[] = "POST /files?identifier=a HTTP/1.1\r\nHost: x\r\n" UPLOAD
				      "Transfer-Encoding: chunked\r\n\r\n300000\r\n";
	static char chunk[0x300000] = "--b\r\n\r\n";
	int fd = connect_to_server();

	(void)state;
	assert_int_equal(ask(declared), 413);
	check_has("FileTooLarge");
	send_all(fd, chunked, strlen(chunked));
	send_all(fd, chunk, sizeof(chunk));
	send_all(fd, "\r\n0\r\n\r\n", 7);
	receive(fd);
	check_has("HTTP/1.1 413");
	close(fd);
	check_nothing_is_left();
}

static void clients_that_go_leave_nothing(void **state)
{
	static const char head[] = "POST /files?identifier=a HTTP/1.1\r\nHost: x\r\n" UPLOAD
				   "Content-Length: 600000\r\n\r\n";
	static const char list[] = "GET /files?identifier=a HTTP/1.1\r\nHost: x\r\n" AUTHORIZED "\r\n";
	static const char part[] = PART "a\r\n\r\nsome";

	(void)state;
	for (size_t n = 0; n < sizeof(part); n += 7) {
		int fd = connect_to_server();

		send_all(fd, head, strlen(head));
		send_all(fd, part, n);
		run_loop_for((unsigned int)n % 4);
		close(fd);
		fd = connect_to_server();
		send_all(fd, list, strlen(list));
		run_loop_for((unsigned int)n % 3);
		close(fd);
	}
	check_nothing_is_left();
}

static void a_stopping_service_takes_no_files(void **state)
{
	(void)state;
	service.is_stopping = true;
	assert_int_equal(get("/files?identifier=a"), 503);
	assert_int_equal(post("/files?identifier=a", PART "a\r\n\r\nx" END), 503);
	service.is_stopping = false;
	check_nothing_is_left();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(files_need_the_token),
		cmocka_unit_test(addresses_are_checked_first),
		cmocka_unit_test(bad_names_and_folders_are_refused),
		cmocka_unit_test(bodies_without_a_file_are_refused),
		cmocka_unit_test(a_session_that_cannot_start_is_told),
		cmocka_unit_test(an_early_answer_waits_for_the_body),
		cmocka_unit_test(a_pool_may_have_a_limit_of_its_own),
		cmocka_unit_test(too_much_is_refused),
		cmocka_unit_test(clients_that_go_leave_nothing),
		cmocka_unit_test(a_stopping_service_takes_no_files),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
