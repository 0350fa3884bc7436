#include "api/utf8.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

/* Decodes the bytes in chunks of `step` and compares. */
static void check(const char *in, size_t size, size_t step, const char *expected)
{
	struct utf8_decoder d = { 0 };
	struct buffer out = { 0 };

	for (size_t i = 0; i < size; i += step)
		utf8_decode(&d, in + i, size - i < step ? size - i : step, &out);
	utf8_decode_end(&d, &out);
	assert_int_equal(out.size, strlen(expected));
	assert_memory_equal(out.data, expected, out.size);
	assert_true(utf8_is_valid(out.data, out.size));
	buffer_fini(&out);
}

static void check_all_steps(const char *in, size_t size, const char *expected)
{
	for (size_t step = 1; step <= size; step++)
		check(in, size, step, expected);
}

#define FFFD                "\xef\xbf\xbd"
#define CHECK(in, expected) check_all_steps(in, sizeof(in) - 1, expected)

static void well_formed_text_is_kept_however_it_is_cut(void **state)
{
	(void)state;
	CHECK("plain", "plain");
	CHECK("a\xc3\xa9\xe2\x82\xac\xf0\x9f\x94\xa5z", "a\xc3\xa9\xe2\x82\xac\xf0\x9f\x94\xa5z");
	CHECK("\xf4\x8f\xbf\xbf\xed\x9f\xbf\xee\x80\x80", "\xf4\x8f\xbf\xbf\xed\x9f\xbf\xee\x80\x80");
}

static void each_maximal_ill_formed_part_becomes_one_replacement(void **state)
{
	(void)state;
	CHECK("\xff", FFFD);
	CHECK("a\xc3", "a" FFFD);
	CHECK("\xe2\x82z", FFFD "z");
	CHECK("\xc3\xc3\xa9", FFFD "\xc3\xa9");
	CHECK("\xf0\x9f\x94", FFFD);
	CHECK("\x80\xbf", FFFD FFFD);
}

static void overlong_forms_and_surrogates_are_ill_formed(void **state)
{
	(void)state;
	CHECK("\xc0\xaf", FFFD FFFD);
	CHECK("\xe0\x80\xaf", FFFD FFFD FFFD);
	CHECK("\xed\xa0\x80", FFFD FFFD FFFD);
	CHECK("\xf4\x90\x80\x80", FFFD FFFD FFFD FFFD);
}

static void nul_is_a_character(void **state)
{
	struct utf8_decoder d = { 0 };
	struct buffer out = { 0 };

	(void)state;
	utf8_decode(&d, "a\0b", 3, &out);
	assert_int_equal(out.size, 3);
	buffer_fini(&out);
}

static void validity_agrees_with_decoding(void **state)
{
	(void)state;
	assert_true(utf8_is_valid("", 0));
	assert_true(utf8_is_valid("\xe2\x82\xac", 3));
	assert_false(utf8_is_valid("\xe2\x82", 2));
	assert_false(utf8_is_valid("\xed\xa0\x80", 3));
	assert_false(utf8_is_valid("\x80", 1));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(well_formed_text_is_kept_however_it_is_cut),
		cmocka_unit_test(each_maximal_ill_formed_part_becomes_one_replacement),
		cmocka_unit_test(overlong_forms_and_surrogates_are_ill_formed),
		cmocka_unit_test(nul_is_a_character),
		cmocka_unit_test(validity_agrees_with_decoding),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
