/* Responses of containers, whole and in pieces of every size, sound and not. */
#include "api/response_parser.h"

#include "api/http_fields.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static struct response_parser parser;

static char told[8192];

static void tell(const char *format, ...) __attribute__((format(printf, 1, 2)));
static void tell(const char *format, ...)
{
	size_t n = strlen(told);
	va_list args;

	va_start(args, format);
	vsnprintf(told + n, sizeof(told) - n, format, args);
	va_end(args);
}

static void tell_headers(void)
{
	for (size_t i = 0; i < parser.n_headers; i++)
		tell(" %s=%s", parser.headers[i].name, parser.headers[i].value);
}

/* Writes what is told into `told`. True once it is over, one way or the other. */
static bool feed(const char **data, size_t *size)
{
	for (;;) {
		switch (response_parser_next(&parser, data, size)) {
		case RESPONSE_MORE:
			return false;
		case RESPONSE_HEAD:
			tell("%u%s%s", parser.status, parser.is_kept_alive ? "+" : "-",
			     parser.length == RESPONSE_LENGTH_UNKNOWN ? "?" : "");
			tell_headers();
			tell(" [");
			if (parser.status == 101)
				return true;
			break;
		case RESPONSE_DATA:
			tell("%.*s", (int)parser.n_data, parser.data);
			break;
		case RESPONSE_END:
			tell("]");
			tell_headers();
			return true;
		case RESPONSE_INVALID:
			assert_non_null(parser.problem);
			tell("!");
			return true;
		}
	}
}

/* Reads it in pieces of that size and closes; tells how many bytes were left over. */
static const char *read_pieces(const char *text, size_t size, bool is_to_head, size_t piece)
{
	bool is_over = false;
	size_t at = 0;

	told[0] = '\0';
	response_parser_reset(&parser, is_to_head);
	while (at < size && !is_over) {
		const char *data = text + at;
		size_t n = piece < size - at ? piece : size - at, left = n;

		is_over = feed(&data, &left);
		at += n - left;
	}
	if (!is_over) {
		bool is_end = response_parser_close(&parser) == RESPONSE_END;

		tell("%s", is_end ? "]close" : "!close");
	}
	if (at < size)
		tell(" left=%zu", size - at);
	return told;
}

static const char *read_text(const char *text, bool is_to_head)
{
	char whole[sizeof(told)];

	snprintf(whole, sizeof(whole), "%s", read_pieces(text, strlen(text), is_to_head, strlen(text)));
	/* What is wrong is found at the same byte, but what came before it in one piece was told or not. */
	for (size_t piece = 1; piece < strlen(text) && !strchr(whole, '!'); piece++)
		assert_string_equal(read_pieces(text, strlen(text), is_to_head, piece), whole);
	read_pieces(text, strlen(text), is_to_head, 1);
	assert_true(!strchr(whole, '!') == !strchr(told, '!'));
	strcpy(told, whole);
	return told;
}

#define assert_read(text, outcome) assert_string_equal(read_text(text, false), outcome)
#define assert_refused(text)       assert_non_null(strchr(read_text(text, false), '!'))

static void test_a_body_of_known_length(void **state)
{
	(void)state;
	assert_read("HTTP/1.1 200 OK\r\nContent-Length: 5\r\nX-A:  b c \t\r\n\r\nhello",
		    "200+ Content-Length=5 X-A=b c [hello]");
	assert_read("HTTP/1.1 200\r\nContent-Length: 0\r\n\r\n", "200+ Content-Length=0 []");
	assert_read("HTTP/1.1 299 \xc3\xa9\r\nContent-Length: 1\r\nConnection: Foo, Close\r\n\r\nx",
		    "299- Content-Length=1 Connection=Foo, Close [x]");
}

static void test_a_body_up_to_the_close(void **state)
{
	(void)state;
	assert_read("HTTP/1.1 200 OK\r\n\r\nall", "200-? [all]close");
	assert_read("HTTP/1.0 404 No\r\n\r\n", "404-? []close");
	assert_read("HTTP/1.0 404 No\r\nContent-Length: 1\r\n\r\nx", "404- Content-Length=1 [x]");
}

static void test_chunks_and_trailers(void **state)
{
	(void)state;
	assert_read(
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: Chunked\r\n\r\n3\r\nabc\r\n00A;n=\"v\"\r\n0123456789\r\n0\r\n"
		"X-T: 1\r\nX-U: 2\r\n\r\n",
		"200+? Transfer-Encoding=Chunked [abc0123456789] X-T=1 X-U=2");
	assert_read("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nmore",
		    "200+? Transfer-Encoding=chunked [] left=4");
}

static void test_responses_without_body(void **state)
{
	(void)state;
	assert_read("HTTP/1.1 204 No\r\n\r\nHTTP/1.1", "204+? [] left=8");
	assert_read("HTTP/1.1 304 No\r\nContent-Length: 9\r\n\r\n", "304+ Content-Length=9 []");
	assert_string_equal(read_text("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n", true),
			    "200+ Content-Length=9 []");
	assert_string_equal(read_text("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", true),
			    "200+? Transfer-Encoding=chunked []");
}

static void test_interim_responses(void **state)
{
	char many[2048] = "";

	(void)state;
	assert_read("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early\r\nLink: x\r\n\r\nHTTP/1.1 204 No\r\n\r\n",
		    "204+? []");
	assert_read("HTTP/1.1 101 Switching\r\nUpgrade: websocket\r\n\r\n\x81\x02hi",
		    "101-? Upgrade=websocket [ left=4");
	for (int i = 0; i < RESPONSE_INTERIM_MAX + 1; i++)
		strcat(many, "HTTP/1.1 100 Continue\r\n\r\n");
	assert_refused(many);
	assert_refused("HTTP/1.1 100 Continue\r\nContent-Length: 1\r\n\r\nx");
	assert_refused("HTTP/1.0 101 Switching\r\n\r\n");
}

static void test_what_could_be_understood_in_two_ways(void **state)
{
	static const char *const texts[] = {
		"Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n\r\n",
		"Content-Length: 1\r\nContent-Length: 1\r\n\r\nx",
		"Content-Length: 1, 1\r\n\r\nx",
		"Content-Length: +1\r\n\r\nx",
		"Content-Length: -1\r\n\r\nx",
		"Content-Length: 0x1\r\n\r\nx",
		"Content-Length: 1 1\r\n\r\nx",
		"Content-Length:\r\n\r\nx",
		"Content-Length: 99999999999999999999\r\n\r\nx",
		"Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n",
		"Transfer-Encoding: identity\r\n\r\nx",
		"Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
		"Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
		"Transfer-Encoding: \vchunked\r\n\r\n0\r\n\r\n",
		"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
		"X: a\r\n b\r\n\r\n",
		" X: a\r\n\r\n",
		"X : a\r\n\r\n",
		"X\r\n\r\n",
		": a\r\n\r\n",
		"X\t: a\r\n\r\n",
		"X: a\nY: b\r\n\r\n",
		"X: a\rY: b\r\n\r\n",
		"X: a\r\r\n\r\n",
		"X: a\n\n",
		"X: \x01\r\n\r\n",
		"X: \x7f\r\n\r\n",
	};

	(void)state;
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		char text[256];

		snprintf(text, sizeof(text), "HTTP/1.1 200 OK\r\n%s", texts[i]);
		if (!strchr(read_text(text, false), '!'))
			fail_msg("'%s' was taken as '%s'", texts[i], told);
	}
	assert_non_null(strchr(read_pieces("HTTP/1.1 200 OK\r\nX: a\0b\r\n\r\n", 29, false, 29), '!'));
}

static void test_status_lines(void **state)
{
	(void)state;
	assert_refused("HTTP/2 200 OK\r\n\r\n");
	assert_refused("HTTP/1.2 200 OK\r\n\r\n");
	assert_refused("http/1.1 200 OK\r\n\r\n");
	assert_refused("HTTP/1.1 20 OK\r\n\r\n");
	assert_refused("HTTP/1.1 2000 OK\r\n\r\n");
	assert_refused("HTTP/1.1 099 OK\r\n\r\n");
	assert_refused("HTTP/1.1 600 OK\r\n\r\n");
	assert_refused("HTTP/1.1  200 OK\r\n\r\n");
	assert_refused("HTTP/1.\r\n\r\n");
	assert_refused("SSH-2.0-OpenSSH_9.2\r\n");
	assert_refused("\r\nHTTP/1.1 200 OK\r\n\r\n");
	assert_refused("HTTP/1.1 200 OK\n\r\n");
}

static void test_chunks_that_are_none(void **state)
{
	static const char *const bodies[] = {
		"\r\n",
		"x\r\n",
		"-1\r\nx",
		"0x1\r\nx",
		"1 \r\nx\r\n0\r\n\r\n",
		"1\nx\r\n",
		"1\r\nxy\r\n",
		"1\r\nx\n0\r\n\r\n",
		"1\r\r\nx\r\n",
		"1;\n\r\nx",
		"1;a\rb\r\n",
		";a\r\nx\r\n",
		"0\r\n X: a\r\n\r\n",
		"0\r\n\n",
		"ffffffffffffffff\r\nx",
		"1;\x01\r\n",
		"0\r\nX: a\nb\n",
	};

	(void)state;
	for (size_t i = 0; i < sizeof(bodies) / sizeof(bodies[0]); i++) {
		char text[256];

		snprintf(text, sizeof(text), "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n%s", bodies[i]);
		if (!strchr(read_text(text, false), '!'))
			fail_msg("'%s' was taken as '%s'", bodies[i], told);
	}
}

static void test_what_is_too_large(void **state)
{
	static char text[RESPONSE_HEAD_MAX + 100];
	size_t n = (size_t)snprintf(text, sizeof(text), "HTTP/1.1 200 OK\r\nX: ");

	(void)state;
	memset(text + n, 'x', sizeof(text) - n);
	assert_non_null(strchr(read_pieces(text, sizeof(text), false, 1000), '!'));
	assert_non_null(strstr(parser.problem, "32 KiB"));

	n = (size_t)snprintf(text, sizeof(text), "HTTP/1.1 200 OK\r\n");
	for (int i = 0; i <= RESPONSE_HEADERS_MAX; i++)
		n += (size_t)snprintf(text + n, sizeof(text) - n, "X: y\r\n");
	assert_non_null(strchr(read_pieces(text, n, false, n), '!'));
	assert_non_null(strstr(parser.problem, "100 headers"));

	n = (size_t)snprintf(text, sizeof(text), "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1;");
	memset(text + n, 'x', RESPONSE_CHUNK_LINE_MAX);
	assert_non_null(strchr(read_pieces(text, n + RESPONSE_CHUNK_LINE_MAX, false, 1), '!'));
}

static void test_what_ends_early(void **state)
{
	(void)state;
	assert_read("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nab", "200+ Content-Length=3 [ab!close");
	assert_refused("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n");
	assert_refused("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n");
	read_pieces("", 0, false, 1);
	assert_false(parser.has_begun);
	assert_string_equal(told, "!close");
}

static void test_fields(void **state)
{
	(void)state;
	assert_true(http_list_has("close", "Close"));
	assert_true(http_list_has("a ,\tUpgrade,b", "upgrade"));
	assert_false(http_list_has("xclose, closed", "close"));
	assert_false(http_list_has("", "close"));
	assert_true(http_is_token("Content-Length", 14));
	assert_false(http_is_token("", 0));
	assert_false(http_is_token("a b", 3));
	assert_false(http_is_token("a\0", 2));
	assert_true(http_is_hop_by_hop("transfer-encoding"));
	assert_false(http_is_hop_by_hop("Content-Length"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_body_of_known_length),
		cmocka_unit_test(test_a_body_up_to_the_close),
		cmocka_unit_test(test_chunks_and_trailers),
		cmocka_unit_test(test_responses_without_body),
		cmocka_unit_test(test_interim_responses),
		cmocka_unit_test(test_what_could_be_understood_in_two_ways),
		cmocka_unit_test(test_status_lines),
		cmocka_unit_test(test_chunks_that_are_none),
		cmocka_unit_test(test_what_is_too_large),
		cmocka_unit_test(test_what_ends_early),
		cmocka_unit_test(test_fields),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
