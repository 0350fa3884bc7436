#include "api/json_text.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <jansson.h>
#include <string.h>

static void check_scalar(const char *text, const char *expected)
{
	struct buffer out = { 0 };
	int rc = json_put_scalar(&out, text, strlen(text));

	if (expected) {
		assert_int_equal(rc, 0);
		assert_int_equal(out.size, strlen(expected));
		assert_memory_equal(out.data, expected, out.size);
	} else {
		assert_int_equal(rc, -EINVAL);
		assert_int_equal(out.size, 0);
	}
	buffer_fini(&out);
}

static void every_character_is_escaped_so_that_a_parser_gives_it_back(void **state)
{
	struct buffer out = { 0 };
	char all[128];
	json_t *back;

	(void)state;
	for (int i = 0; i < 128; i++)
		all[i] = (char)i;
	json_put_string(&out, all, sizeof(all));
	back = json_loadb(out.data, out.size, JSON_DECODE_ANY | JSON_ALLOW_NUL, NULL);
	assert_non_null(back);
	assert_int_equal(json_string_length(back), sizeof(all));
	assert_memory_equal(json_string_value(back), all, sizeof(all));
	assert_null(memchr(out.data, '\n', out.size)); /* an event of one line stays one */
	json_decref(back);
	buffer_fini(&out);
}

static void numbers_keep_every_digit(void **state)
{
	(void)state;
	check_scalar("0", "0");
	check_scalar("-1.50", "-1.50");
	check_scalar("1e+400", "1e+400");
	check_scalar("123456789012345678901234567890", "123456789012345678901234567890");
}

static void what_is_no_number_is_refused(void **state)
{
	static const char *const bad[] = { "",    "-",  "01", "1.",  ".5",       "+1",  "1e",    "1e+", "0x10",
					   "NaN", "1 ", " 1", "1,2", "Infinity", "--1", "1.2.3", "1\n" };

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		check_scalar(bad[i], NULL);
}

static void words_and_strings_are_taken_and_nothing_else(void **state)
{
	(void)state;
	check_scalar("true", "true");
	check_scalar("null", "null");
	check_scalar("True", NULL);
	check_scalar("{}", NULL);
	check_scalar("[1]", NULL);
	check_scalar("\"a\\n\\u00e9\\\"\"", "\"a\\n\\u00e9\\\"\"");
	check_scalar("\"", NULL);
	check_scalar("\"a", NULL);
	check_scalar("\"a\"b\"", NULL);
	check_scalar("\"\\\"", NULL);
	check_scalar("\"\\x\"", NULL);
	check_scalar("\"\\u12g4\"", NULL);
	check_scalar("\"\\u12\"", NULL);
	check_scalar("\"a\nb\"", NULL);
	check_scalar("\"\xff\"", NULL);
	check_scalar("\"\",\"x\":\"\"", NULL);
}

static void half_a_surrogate_pair_is_replaced_and_a_whole_one_kept(void **state)
{
	(void)state;
	check_scalar("\"\\ud83d\\ude00\"", "\"\\ud83d\\ude00\"");
	check_scalar("\"a\\ud800b\"", "\"a\\ufffdb\"");
	check_scalar("\"\\ude00\\ud83d\"", "\"\\ufffd\\ufffd\"");
	check_scalar("\"\\ud83d\\u0041\"", "\"\\ufffd\\u0041\"");
}

static void values_are_counted_outside_strings(void **state)
{
	const char *text = "{\"a,b[{\\\"\":[1,2,{}]}";

	(void)state;
	assert_int_equal(json_count_values(text, strlen(text)), 6);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_character_is_escaped_so_that_a_parser_gives_it_back),
		cmocka_unit_test(numbers_keep_every_digit),
		cmocka_unit_test(what_is_no_number_is_refused),
		cmocka_unit_test(words_and_strings_are_taken_and_nothing_else),
		cmocka_unit_test(half_a_surrogate_pair_is_replaced_and_a_whole_one_kept),
		cmocka_unit_test(values_are_counted_outside_strings),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
