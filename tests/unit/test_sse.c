#include "api/cli/sse.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

/* Events as text: "type=data|" each, so that a whole stream compares with one string. */
struct recorder {
	char text[1024];
	size_t size;
	int answer; /* what on_event returns */
};

static int record(void *context, const char *type, const char *data, size_t size)
{
	struct recorder *r = context;

	assert_int_equal(data[size], '\0');
	r->size += (size_t)snprintf(r->text + r->size, sizeof(r->text) - r->size, "%s=%s|", type, data);
	assert_in_range(r->size, 0, sizeof(r->text) - 1);
	return r->answer;
}

/* Feeds `stream` in two pieces, cut after `cut` bytes. */
static void parse_cut(const char *stream, size_t size, size_t cut, struct recorder *r)
{
	struct sse_parser p;

	sse_parser_init(&p, 1 << 20, record, r);
	assert_int_equal(sse_parser_feed(&p, stream, cut), 0);
	assert_int_equal(sse_parser_feed(&p, stream + cut, size - cut), 0);
	sse_parser_fini(&p);
}

static void check_at_every_cut(const char *stream, const char *expected)
{
	size_t size = strlen(stream);

	for (size_t cut = 0; cut <= size; cut++) {
		struct recorder r = { .answer = 0 };

		parse_cut(stream, size, cut, &r);
		assert_string_equal(r.text, expected);
	}
}

static void byte_by_byte(const char *stream, const char *expected)
{
	struct recorder r = { .answer = 0 };
	struct sse_parser p;

	sse_parser_init(&p, 1 << 20, record, &r);
	for (size_t i = 0; stream[i]; i++)
		assert_int_equal(sse_parser_feed(&p, stream + i, 1), 0);
	sse_parser_fini(&p);
	assert_string_equal(r.text, expected);
}

static void events_come_out_wherever_the_stream_is_cut(void **state)
{
	static const char stream[] = ": keep-alive\n\n"
				     "event: stdout\ndata: {\"text\":\"h\\u00e9\"}\n\n"
				     "event: done\r\ndata: {}\r\n\r\n"
				     "data: no type\r\r";
	static const char expected[] = "stdout={\"text\":\"h\\u00e9\"}|done={}|message=no type|";

	(void)state;
	check_at_every_cut(stream, expected);
	byte_by_byte(stream, expected);
}

static void data_lines_are_joined_by_newlines(void **state)
{
	(void)state;
	check_at_every_cut("data: a\ndata:b\ndata\ndata:  c\n\n", "message=a\nb\n\n c|");
}

static void an_empty_data_line_is_an_event_and_none_is_not(void **state)
{
	(void)state;
	check_at_every_cut("event: x\n\ndata\n\nevent: y\ndata:\n\n", "message=|y=|");
}

static void the_type_does_not_stick_to_the_next_event(void **state)
{
	(void)state;
	check_at_every_cut("event: stderr\ndata: 1\n\ndata: 2\n\n", "stderr=1|message=2|");
}

static void comments_and_unknown_fields_are_skipped(void **state)
{
	(void)state;
	check_at_every_cut(":\n: data: no\nid: 7\nretry: 10\ndatum: x\nDATA: y\nnonsense\n\ndata: z\n\n", "message=z|");
}

static void a_byte_order_mark_at_the_start_is_skipped(void **state)
{
	(void)state;
	check_at_every_cut("\xef\xbb\xbf"
			   "data: 1\n\n\xef\xbb\xbf"
			   "data: 2\n\n",
			   "message=1|");
}

static void an_event_that_does_not_end_is_not_delivered(void **state)
{
	(void)state;
	check_at_every_cut("data: 1\n\nevent: done\ndata: {}\n", "message=1|");
}

static void a_type_that_is_too_long_is_cut_and_does_no_harm(void **state)
{
	char stream[1024];
	struct recorder r = { .answer = 0 };

	(void)state;
	snprintf(stream, sizeof(stream), "event: %0500d\ndata: x\n\n", 0);
	parse_cut(stream, strlen(stream), 5, &r);
	assert_int_equal(strlen(r.text), 63 + strlen("=x|"));
}

static void data_above_the_limit_is_refused(void **state)
{
	struct recorder r = { .answer = 0 };
	struct sse_parser p;
	int ret = 0;

	(void)state;
	sse_parser_init(&p, 100, record, &r);
	assert_int_equal(sse_parser_feed(&p, "data: 0123456789\n\n", 18), 0);
	for (int i = 0; i < 20 && ret == 0; i++)
		ret = sse_parser_feed(&p, "data: 0123456789\n", 17);
	assert_int_equal(ret, -EMSGSIZE);
	sse_parser_fini(&p);

	sse_parser_init(&p, 100, record, &r);
	for (int i = 0; i < 101; i++)
		ret = sse_parser_feed(&p, "x", 1);
	assert_int_equal(ret, -EMSGSIZE);
	sse_parser_fini(&p);
	assert_string_equal(r.text, "message=0123456789|");
}

static void what_the_handler_returns_ends_the_parsing(void **state)
{
	struct recorder r = { .answer = 7 };
	struct sse_parser p;

	(void)state;
	sse_parser_init(&p, 100, record, &r);
	assert_int_equal(sse_parser_feed(&p, "data: 1\n\ndata: 2\n\n", 18), 7);
	sse_parser_fini(&p);
	assert_string_equal(r.text, "message=1|");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(events_come_out_wherever_the_stream_is_cut),
		cmocka_unit_test(data_lines_are_joined_by_newlines),
		cmocka_unit_test(an_empty_data_line_is_an_event_and_none_is_not),
		cmocka_unit_test(the_type_does_not_stick_to_the_next_event),
		cmocka_unit_test(comments_and_unknown_fields_are_skipped),
		cmocka_unit_test(a_byte_order_mark_at_the_start_is_skipped),
		cmocka_unit_test(an_event_that_does_not_end_is_not_delivered),
		cmocka_unit_test(a_type_that_is_too_long_is_cut_and_does_no_harm),
		cmocka_unit_test(data_above_the_limit_is_refused),
		cmocka_unit_test(what_the_handler_returns_ends_the_parsing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
