/*
 * Paths, methods and bodies that nobody thought of, over real connections: every request gets one answer that is a JSON
 * error or a result, nothing but the health page is given to who has no token, and afterwards the service is as it was.
 * The seed is fixed: a failure comes again. HEARTH_FUZZ_ROUNDS=n runs longer.
 */
#include "tests/unit/http_helper.h"

#include "common/log.h"

enum { ROUNDS = 8000 };

static const char *const segments[] = {
	"sessionPools",
	"SESSIONPOOLS",
	"subscriptions",
	"resourceGroups",
	"providers",
	"Microsoft.App",
	"default",
	"p1",
	"none",
	"identifier",
	"a",
	"code",
	"execute",
	"executions",
	"python",
	"session",
	"fork",
	"suspend",
	"resume",
	"stop",
	"listSessions",
	".management",
	"getSession",
	"listSessions",
	"stopSession",
	"files",
	"upload",
	"content",
	"uploadFile",
	"downloadFile",
	"templates",
	"usage",
	"metrics",
	"openapi.json",
	"t1",
	"*",
	"healthz",
	"%2E%2E",
	"..",
	".",
	"%2F",
	"%00",
	"%FF",
	"%",
	"%C3%A4",
	"",
	"\"",
	"{}",
	"x%20y",
};

static const char *const queries[] = {
	"identifier=a",
	"identifier=a&path=sub&recursive=true",
	"identifier=a&path=..",
	"identifier=",
	"identifier=%FF",
	"identifier=a%00",
	"target=b",
	"target=%0A",
	"skip=1",
	"skip=-1",
	"skip=99999999999999999999999",
	"api-version=2024-02-02-preview",
	"api-version=2025-07-01",
	"api-version=x",
	"api-version=",
	"=",
	"&&",
	"%",
	"a=b=c",
};

/* DELETE of the pool, and what would start a microVM, are rare enough not to make the rest slow. */
static const char *const methods[] = { "GET", "GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS", "get", "X" };

static const char *const bodies[] = {
	"",
	"{}",
	"[]",
	"{",
	"null",
	"{\"properties\":{}}",
	"{\"fromSession\":\"a\"}",
	"{\"fromSession\":null}",
	"{\"properties\":{\"scaleConfiguration\":{\"maxConcurrentSessions\":3,\"readySessionInstances\":0}}}",
	"{\"properties\":{\"containerType\":\"Shell\"}}",
	"{\"code\":7}",
	"\"\\ud800\"",
};

static uint64_t random_state = 0x2545f4914f6cdd1d;

static uint32_t random_below(uint32_t n)
{
	random_state = random_state * 6364136223846793005ULL + 1442695040888963407ULL;
	return (uint32_t)(random_state >> 33) % n;
}

#define ANY_OF(table) ((table)[random_below(sizeof(table) / sizeof((table)[0]))])

static unsigned rounds(void)
{
	const char *text = getenv("HEARTH_FUZZ_ROUNDS");

	return text ? (unsigned)strtoul(text, NULL, 10) : ROUNDS;
}

static void append(char *text, size_t size, const char *part)
{
	snprintf(text + strlen(text), size - strlen(text), "%s", part);
}

/* Half of them begin like the addresses that there are. */
static void make_target(char *target, size_t size)
{
	static const char *const beginnings[] = {
		"/sessionPools",    "/sessionPools/default",
		"/sessionPools/p1", "/templates",
		"/session",         "/subscriptions/s/resourceGroups/g/providers/Microsoft.App/sessionPools",
		"/.management",     "/identifier/a",
	};

	*target = '\0';
	if (random_below(2))
		append(target, size, ANY_OF(beginnings));
	for (uint32_t n = *target && random_below(2) ? 0 : 1 + random_below(3); n > 0; n--) {
		append(target, size, "/");
		append(target, size, ANY_OF(segments));
	}
	for (uint32_t n = random_below(3), i = 0; i < n; i++) {
		append(target, size, i ? "&" : "?");
		append(target, size, ANY_OF(queries));
	}
}

static bool is_known_status(int status)
{
	static const int known[] = { 200, 201, 204, 400, 401, 404, 405, 409, 413, 414, 500 };

	for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++)
		if (known[i] == status)
			return true;
	return false;
}

/* One request on a connection that is kept while the server keeps it. Returns the status. */
static int exchange(int *fd, const char *method, const char *target, const char *headers, const char *body)
{
	char text[4096];

	snprintf(text, sizeof(text), "%s %s HTTP/1.1\r\nHost: x\r\n%sContent-Length: %zu\r\n\r\n%s", method, target,
		 headers, strlen(body), body);
	if (*fd < 0)
		*fd = connect_to_server();
	send_all(*fd, text, strlen(text));
	if (strcmp(method, "HEAD") == 0) {
		/* Its Content-Length counts bytes that do not come. */
		close(*fd);
		*fd = -1;
		run_loop_for(1);
		return 0;
	}
	receive(*fd);
	if (strcasestr(answer, "\r\nConnection: close")) {
		close(*fd);
		*fd = -1;
	}
	return n_answer > 12 ? atoi(answer + 9) : -1;
}

static void any_request_gets_one_answer_in_order(void **state)
{
	unsigned n_by_class[6] = { 0 };
	char target[1024];
	int fd = -1;

	(void)state;
	log_threshold(LOG_ERROR);
	for (unsigned i = rounds(); i > 0; i--) {
		const char *method = ANY_OF(methods), *body = ANY_OF(bodies);
		bool has_token = random_below(3) != 0;
		int status;

		make_target(target, sizeof(target));
		status = exchange(&fd, method, target, has_token ? AUTHORIZED : "", body);
		if (status == 0)
			continue;
		if (!is_known_status(status))
			fail_msg("%s %s %s: \"%.500s\"", method, target, body, answer);
		if (!has_token && status / 100 == 2 && !strstr(answer, "\"uptimeInSeconds\""))
			fail_msg("given without a token: %s %s", method, target);
		if (status >= 400 && !strstr(answer, "\"message\":") && !strstr(answer, "\"errors\":") &&
		    !strstr(answer, "Failed to stop session"))
			fail_msg("an error without a reason: %s %s: %s", method, target, answer);
		n_by_class[status / 100]++;
	}
	if (fd >= 0)
		close(fd);
	run_loop_for(20);
	/* Else it did not get far, or was never stopped. */
	assert_true(n_by_class[2] > rounds() / 50);
	assert_true(n_by_class[4] > rounds() / 10);
	assert_int_equal(request("GET", "/sessionPools/default", AUTHORIZED, ""), 200);
	assert_int_equal(host.n_microvms, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(any_request_gets_one_answer_in_order),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
