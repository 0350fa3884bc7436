/* Multipart bodies, whole and in pieces of every size, sound and not. */
#include "api/multipart.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

struct outcome {
	char content[4096]; /* of all parts, each in brackets */
	size_t n;
	char headers[MULTIPART_HEADERS_MAX + 1]; /* of the last part */
	bool is_over, is_invalid;
};

static void put(struct outcome *o, const char *data, size_t size)
{
	assert_true(o->n + size < sizeof(o->content));
	memcpy(o->content + o->n, data, size);
	o->content[o->n += size] = '\0';
}

static void feed(struct multipart *m, struct outcome *o, const char *data, size_t size)
{
	for (;;) {
		enum multipart_event event = multipart_next(m, &data, &size);

		switch (event) {
		case MULTIPART_MORE:
			assert_int_equal(size, 0);
			return;
		case MULTIPART_PART:
			snprintf(o->headers, sizeof(o->headers), "%s", m->headers);
			put(o, "[", 1);
			break;
		case MULTIPART_DATA:
			assert_true(m->size > 0);
			put(o, m->data, m->size);
			break;
		case MULTIPART_PART_END:
			put(o, "]", 1);
			break;
		case MULTIPART_END:
			o->is_over = true;
			break;
		case MULTIPART_INVALID:
			assert_non_null(m->problem);
			o->is_invalid = true;
			return;
		}
	}
}

/* Feeds it in pieces of `step` bytes, each in memory of its own, so that a read beyond it shows. */
static struct outcome *parse(const char *content_type, const char *body, size_t size, size_t step)
{
	static struct multipart m;
	static struct outcome o;

	memset(&o, 0, sizeof(o));
	multipart_init(&m, content_type);
	for (size_t at = 0; at < size && !o.is_invalid; at += step) {
		size_t n = size - at < step ? size - at : step;
		char *piece = malloc(n);

		memcpy(piece, body + at, n);
		feed(&m, &o, piece, n);
		free(piece);
	}
	assert_int_equal(o.is_over, multipart_is_over(&m));
	return &o;
}

static void check(const char *content_type, const char *body, const char *content)
{
	for (size_t step = 1; step <= strlen(body); step++) {
		const struct outcome *o = parse(content_type, body, strlen(body), step);

		assert_false(o->is_invalid);
		assert_true(o->is_over);
		assert_string_equal(o->content, content);
	}
}

static void check_refused(const char *content_type, const char *body)
{
	for (size_t step = 1; step <= strlen(body); step++)
		assert_true(parse(content_type, body, strlen(body), step)->is_invalid);
}

static void parts(void **state)
{
	(void)state;
	check(NULL, "--b\r\nX: y\r\n\r\nhello\r\n--b--\r\n", "[hello]");
	check(NULL, "--b\r\n\r\n\r\n--b--", "[]");
	check(NULL, "--b\r\n\r\none\r\n--b\r\nA: b\r\n\r\ntwo\r\n--b--\r\nepilogue\r\n--b\r\n", "[one][two]");
	check(NULL, "--b--\r\n--b--\r\n\r\nx\r\n--b----", "[x]"); /* an odd boundary, "b--" */
	check(NULL, "--b \t\r\nX: y\r\n\r\nx\r\n--b \t\r\n\r\ny\r\n--b--", "[x][y]");
	check(NULL, "--b\nX: y\n\nx\r\n--b--", "[x]");
}

static void what_looks_like_a_delimiter(void **state)
{
	(void)state;
	check(NULL, "--b\r\n\r\n\r\n--a\r\n--b--", "[\r\n--a]");
	check(NULL, "--b\r\n\r\n\r\r\n\r\n-\r\n--\r\n--b--", "[\r\r\n\r\n-\r\n--]");
	check(NULL, "--b\r\n\r\n--b\r\n--b--", "[--b]");
	check(NULL, "--bb\r\n\r\n\r\n--b\r\n\r\n--bb--", "[\r\n--b\r\n]");
	check(NULL, "------x\r\n\r\n------\r\n------x--", "[------]");
}

static void the_boundary_of_the_header(void **state)
{
	(void)state;
	check("multipart/form-data; boundary=b", "preamble\r\n--b\r\n\r\nx\r\n--b--", "[x]");
	check("multipart/form-data; BOUNDARY=\"b c\"; x=y", "\r\n--b c\r\n\r\nx\r\n--b c--", "[x]");
	check("multipart/form-data; boundary=other", "--b\r\n\r\nx\r\n--b--", "[x]");
	check("application/json", "--b\r\n\r\nx\r\n--b--", "[x]");
}

static void headers(void **state)
{
	static const char body[] = "--b\r\nA: 1\r\nb : 2\r\n\r\nx\r\n--b--";

	(void)state;
	assert_string_equal(parse(NULL, body, sizeof(body) - 1, 3)->headers, "A: 1\r\nb : 2\r\n\r\n");
}

static void unsound(void **state)
{
	static const char with_nul[] = "--b\r\nA: \0\r\n\r\nx\r\n--b--";
	char long_boundary[300], long_header[MULTIPART_HEADERS_MAX + 64];

	(void)state;
	check_refused(NULL, "junk");
	check_refused("multipart/form-data; boundary=", "junk");
	check_refused(NULL, "--\r\n\r\nx\r\n----");
	check_refused(NULL, "-x\r\n");
	check_refused(NULL, "--b\r\n\r\nx\r\n--bc\r\n");
	check_refused(NULL, "--b\r\n\r\nx\r\n--b-c\r\n");
	check_refused(NULL, "--b\rc\r\n\r\nx");
	memset(long_boundary, '-', sizeof(long_boundary));
	assert_true(parse(NULL, long_boundary, sizeof(long_boundary), 7)->is_invalid);
	memset(long_header, 'x', sizeof(long_header));
	memcpy(long_header, "--b\r\n", 5);
	assert_true(parse(NULL, long_header, sizeof(long_header), 1000)->is_invalid);
	assert_true(parse(NULL, with_nul, sizeof(with_nul) - 1, 9)->is_invalid);
}

static void cut_bodies_are_not_over(void **state)
{
	static const char body[] = "--b\r\nX: y\r\n\r\nhello\r\n--b--";

	(void)state;
	for (size_t size = 0; size < sizeof(body) - 1; size++)
		assert_false(parse(NULL, body, size, 4)->is_over);
}

/* Any bytes made of what matters to the parser: no crash, no loop, and never content that was not in the body. */
static void noise(void **state)
{
	static const char letters[] = "\r\n-bb: x";

	(void)state;
	srand(1);
	for (int round = 0; round < 20000; round++) {
		char body[64] = "--b\r\n\r\n";
		size_t size = 7 + (size_t)rand() % (sizeof(body) - 7);

		for (size_t i = 7; i < size; i++)
			body[i] = letters[(size_t)rand() % (sizeof(letters) - 1)];
		if (rand() % 4 == 0)
			body[rand() % 7] = letters[(size_t)rand() % (sizeof(letters) - 1)];
		assert_true(parse(NULL, body, size, 1 + (size_t)rand() % 9)->n < sizeof(body) + 32);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(parts),
		cmocka_unit_test(what_looks_like_a_delimiter),
		cmocka_unit_test(the_boundary_of_the_header),
		cmocka_unit_test(headers),
		cmocka_unit_test(unsound),
		cmocka_unit_test(cut_bodies_are_not_over),
		cmocka_unit_test(noise),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
