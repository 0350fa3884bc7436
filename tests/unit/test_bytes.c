#include "common/bytes.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

static void what_was_put_is_got(void **state)
{
	uint8_t buffer[15];
	struct bytes out = bytes_over(buffer, sizeof(buffer));
	struct bytes in;

	(void)state;
	bytes_put_u8(&out, 0x12);
	bytes_put_u16(&out, 0x3456);
	bytes_put_u32(&out, 0x789abcde);
	bytes_put_u64(&out, 0x0123456789abcdef);
	assert_false(out.failed);
	assert_int_equal(buffer[1], 0x56); /* little-endian on the wire */

	in = bytes_from(buffer, out.position);
	assert_int_equal(bytes_get_u8(&in), 0x12);
	assert_int_equal(bytes_get_u16(&in), 0x3456);
	assert_int_equal(bytes_get_u32(&in), 0x789abcde);
	assert_true(bytes_get_u64(&in) == 0x0123456789abcdef);
	assert_int_equal(bytes_left(&in), 0);
	assert_false(in.failed);
}

static void an_overrun_sticks(void **state)
{
	uint8_t buffer[4] = { 1, 2, 3, 4 };
	struct bytes in = bytes_from(buffer, sizeof(buffer));

	(void)state;
	assert_int_equal(bytes_get_u8(&in), 1);
	assert_int_equal(bytes_get_u32(&in), 0);
	assert_true(in.failed);
	/* There is a byte left, but the record was broken before it. */
	assert_int_equal(bytes_get_u8(&in), 0);
	assert_int_equal(bytes_left(&in), 0);
}

static void nothing_is_written_past_the_end(void **state)
{
	uint8_t buffer[4] = { 0, 0, 0, 0xee };
	struct bytes out = bytes_over(buffer, 3);

	(void)state;
	bytes_put_u32(&out, 0xffffffff);
	assert_true(out.failed);
	assert_int_equal(buffer[0], 0);
	assert_int_equal(buffer[3], 0xee);
}

static void a_huge_count_does_not_wrap(void **state)
{
	uint8_t buffer[4] = { 0 };
	struct bytes in = bytes_from(buffer, sizeof(buffer));

	(void)state;
	bytes_get_u8(&in);
	assert_null(bytes_take(&in, SIZE_MAX));
	assert_true(in.failed);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_was_put_is_got),
		cmocka_unit_test(an_overrun_sticks),
		cmocka_unit_test(nothing_is_written_past_the_end),
		cmocka_unit_test(a_huge_count_does_not_wrap),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
