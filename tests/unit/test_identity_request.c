#include "api/identity_request.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SECRET "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
#define OTHER  "1123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
#define TARGET "/msi/token?resource=https%3A%2F%2Fvault.example&api-version=2019-08-01"
#define HEADER "X-IDENTITY-HEADER: " SECRET "\r\n"

static struct identity_request request;
static const char *problem;

static unsigned int parse(const char *text)
{
	return identity_request_parse(&request, text, strlen(text), SECRET, &problem);
}

static void a_request_names_its_resource(void **state)
{
	(void)state;
	assert_int_equal(parse("GET " TARGET " HTTP/1.1\r\nHost: localhost\r\nx-identity-header:" SECRET " \r\n\r\n"),
			 200);
	assert_string_equal(request.resource, "https://vault.example");
	assert_null(problem);
}

static void a_request_may_come_in_pieces(void **state)
{
	static const char text[] = "GET " TARGET " HTTP/1.1\r\n" HEADER "\r\n";

	(void)state;
	for (size_t size = 0; size < sizeof(text) - 1; size++)
		assert_int_equal(identity_request_parse(&request, text, size, SECRET, &problem), 0);
	assert_int_equal(parse(text), 200);
}

static void without_the_secret_nothing_else_is_looked_at(void **state)
{
	(void)state;
	assert_int_equal(parse("GET " TARGET " HTTP/1.1\r\n\r\n"), 401);
	assert_int_equal(parse("GET " TARGET " HTTP/1.1\r\nX-IDENTITY-HEADER: " OTHER "\r\n\r\n"), 401);
	assert_int_equal(parse("GET " TARGET " HTTP/1.1\r\nX-IDENTITY-HEADER: " SECRET "0\r\n\r\n"), 401);
	assert_int_equal(parse("GET " TARGET " HTTP/1.1\r\nX-IDENTITY-HEADER:\r\n\r\n"), 401);
	assert_int_equal(parse("GET " TARGET " HTTP/1.1\r\n" HEADER HEADER "\r\n"), 401);
	assert_int_equal(parse("DELETE /elsewhere HTTP/1.1\r\n\r\n"), 401);
	assert_string_equal(request.resource, "");
}

static void what_is_no_request_for_a_token_is_refused(void **state)
{
	(void)state;
	assert_int_equal(parse("POST " TARGET " HTTP/1.1\r\n" HEADER "\r\n"), 405);
	assert_int_equal(parse("GET /other?resource=a&api-version=2019-08-01 HTTP/1.1\r\n" HEADER "\r\n"), 404);
	assert_int_equal(parse("GET /msi/token?resource=a HTTP/1.1\r\n" HEADER "\r\n"), 400);
	assert_int_equal(parse("GET /msi/token?resource=a&api-version=2017-09-01 HTTP/1.1\r\n" HEADER "\r\n"), 400);
	assert_int_equal(parse("GET /msi/token?api-version=2019-08-01 HTTP/1.1\r\n" HEADER "\r\n"), 400);
	assert_int_equal(parse("GET " TARGET "\r\n" HEADER "\r\n"), 400);
	assert_int_equal(parse("GET " TARGET " HTTP/2\r\n" HEADER "\r\n"), 400);
	assert_int_equal(parse("GET " TARGET "%00 HTTP/1.1\r\n" HEADER "\r\n"), 400);
	assert_int_equal(parse("GET " TARGET " HTTP/1.1\r\n" HEADER "Transfer-Encoding: chunked\r\n\r\n"), 400);
	assert_non_null(problem);
}

static void a_head_has_a_limit(void **state)
{
	char *text = malloc(IDENTITY_HEAD_MAX + 2);

	(void)state;
	memset(text, 'a', IDENTITY_HEAD_MAX + 2);
	assert_int_equal(identity_request_parse(&request, text, IDENTITY_HEAD_MAX, SECRET, &problem), 0);
	assert_int_equal(identity_request_parse(&request, text, IDENTITY_HEAD_MAX + 1, SECRET, &problem), 431);
	free(text);
}

static void a_resource_has_a_limit(void **state)
{
	char text[2 * IDENTITY_RESOURCE_MAX], resource[IDENTITY_RESOURCE_MAX + 2] = "";

	(void)state;
	memset(resource, 'a', IDENTITY_RESOURCE_MAX + 1);
	snprintf(text, sizeof(text), "GET /msi/token?api-version=2019-08-01&resource=%s HTTP/1.1\r\n" HEADER "\r\n",
		 resource);
	assert_int_equal(parse(text), 400);
	resource[IDENTITY_RESOURCE_MAX] = '\0';
	snprintf(text, sizeof(text), "GET /msi/token?api-version=2019-08-01&resource=%s HTTP/1.1\r\n" HEADER "\r\n",
		 resource);
	assert_int_equal(parse(text), 200);
	assert_string_equal(request.resource, resource);
}

static void assert_answer(struct buffer *answer, const char *expected)
{
	buffer_put(answer, "", 1);
	assert_false(answer->failed);
	assert_string_equal(answer->data, expected);
	buffer_fini(answer);
}

static void answers_have_the_form_of_azure(void **state)
{
	struct buffer answer = { 0 };

	(void)state;
	identity_answer_put_token(&answer, "a\"b", 1586984735, "https://vault.example");
	assert_answer(&answer, "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 106\r\n"
			       "Cache-Control: no-store\r\nConnection: close\r\n\r\n"
			       "{\"access_token\":\"a\\\"b\",\"expires_on\":\"1586984735\","
			       "\"resource\":\"https://vault.example\",\"token_type\":\"Bearer\"}");
	identity_answer_put_problem(&answer, 401, "No.");
	assert_answer(&answer, "HTTP/1.1 401 Unauthorized\r\nContent-Type: application/json\r\nContent-Length: 34\r\n"
			       "Cache-Control: no-store\r\nConnection: close\r\n\r\n"
			       "{\"statusCode\":401,\"message\":\"No.\"}");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_request_names_its_resource),
		cmocka_unit_test(a_request_may_come_in_pieces),
		cmocka_unit_test(without_the_secret_nothing_else_is_looked_at),
		cmocka_unit_test(what_is_no_request_for_a_token_is_refused),
		cmocka_unit_test(a_head_has_a_limit),
		cmocka_unit_test(a_resource_has_a_limit),
		cmocka_unit_test(answers_have_the_form_of_azure),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
