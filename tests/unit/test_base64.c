#include "api/base64.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <string.h>

static void check(const char *plain, const char *encoded)
{
	struct buffer out = { 0 }, back = { 0 };

	base64_encode(plain, strlen(plain), &out);
	assert_int_equal(out.size, strlen(encoded));
	assert_memory_equal(out.data, encoded, out.size);
	assert_int_equal(base64_decode(out.data, out.size, &back), 0);
	assert_int_equal(back.size, strlen(plain));
	assert_memory_equal(back.data, plain, back.size);
	buffer_fini(&out);
	buffer_fini(&back);
}

static void the_vectors_of_rfc_4648_go_there_and_back(void **state)
{
	(void)state;
	check("f", "Zg==");
	check("fo", "Zm8=");
	check("foo", "Zm9v");
	check("foobar", "Zm9vYmFy");
}

static void every_byte_survives(void **state)
{
	struct buffer out = { 0 }, back = { 0 };
	uint8_t all[256];

	(void)state;
	for (int i = 0; i < 256; i++)
		all[i] = (uint8_t)i;
	base64_encode(all, sizeof(all), &out);
	assert_int_equal(base64_decode(out.data, out.size, &back), 0);
	assert_memory_equal(back.data, all, sizeof(all));
	buffer_fini(&out);
	buffer_fini(&back);
}

static void what_is_not_base64_is_refused(void **state)
{
	static const char *const bad[] = { "Z", "Zg", "Zg=", "Z===", "====", "Zg==Zg==x", "Z!==", "Zm9v=", "Zg=v" };

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct buffer out = { 0 };

		assert_int_equal(base64_decode(bad[i], strlen(bad[i]), &out), -EINVAL);
		buffer_fini(&out);
	}
}

static void white_space_is_skipped(void **state)
{
	struct buffer out = { 0 };

	(void)state;
	assert_int_equal(base64_decode("Zm9v\r\nYmFy\n", 11, &out), 0);
	assert_int_equal(out.size, 6);
	buffer_fini(&out);
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
