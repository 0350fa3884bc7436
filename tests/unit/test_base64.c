#include "common/base64.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <string.h>

static void check_decoded(const char *text, const char *expected)
{
	uint8_t out[64];

	assert_true(base64_decoded_size_max(strlen(text)) <= sizeof(out));
	assert_int_equal(base64_decode(text, strlen(text), out), strlen(expected));
	assert_memory_equal(out, expected, strlen(expected));
}

static void check(const char *plain, const char *encoded)
{
	char out[64];

	assert_int_equal(base64_encoded_size(strlen(plain)), strlen(encoded));
	base64_encode(plain, strlen(plain), out);
	assert_memory_equal(out, encoded, strlen(encoded));
	check_decoded(encoded, plain);
}

static void the_vectors_of_rfc_4648_go_there_and_back(void **state)
{
	(void)state;
	check("", "");
	check("f", "Zg==");
	check("fo", "Zm8=");
	check("foo", "Zm9v");
	check("foobar", "Zm9vYmFy");
	check("\xfb\xff\xbf", "+/+/");
}

static void every_byte_survives(void **state)
{
	uint8_t all[256], back[sizeof(all) + 3];
	char text[344];

	(void)state;
	for (int i = 0; i < 256; i++)
		all[i] = (uint8_t)i;
	assert_int_equal(base64_encoded_size(sizeof(all)), sizeof(text));
	base64_encode(all, sizeof(all), text);
	assert_int_equal(base64_decode(text, sizeof(text), back), sizeof(all));
	assert_memory_equal(back, all, sizeof(all));
}

static void what_is_not_base64_is_refused(void **state)
{
	static const char *const bad[] = { "Z",    "Zg",   "Zg=",       "Z===",  "====",     "Z!==", "Zm9v=",
					   "Zg=v", "Zg=x", "Zg==Zg==x", "Zm9v!", "Zg==Zg==", "\xff" };

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		uint8_t out[64];

		assert_int_equal(base64_decode(bad[i], strlen(bad[i]), out), -EINVAL);
	}
}

static void white_space_is_skipped(void **state)
{
	(void)state;
	check_decoded("Zm9v\r\nYm Fy\n", "foobar");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_vectors_of_rfc_4648_go_there_and_back),
		cmocka_unit_test(every_byte_survives),
		cmocka_unit_test(what_is_not_base64_is_refused),
		cmocka_unit_test(white_space_is_skipped),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
