/* The Range header, and which bytes of a file a range means. */
#include "api/byte_range.h"
#include "common/file_piece.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

static void check(const char *header, uint64_t offset, uint64_t length)
{
	struct byte_range range;

	assert_true(byte_range_parse(header, &range));
	assert_int_equal(range.offset, offset);
	assert_int_equal(range.length, length);
}

static void one_range_is_read(void **state)
{
	(void)state;
	check("bytes=0-0", 0, 1);
	check("bytes=5-9", 5, 5);
	check("Bytes= 5-9\t", 5, 5);
	check("bytes=5-", 5, AGENT_FILE_TO_END);
	check("bytes=-7", AGENT_FILE_FROM_END, 7);
	check("bytes=-0", AGENT_FILE_FROM_END, 0);
	check("bytes=0-9223372036854775807", 0, (uint64_t)INT64_MAX + 1);
	check("bytes=1-18446744073709551616", 1, INT64_MAX);
	check("bytes=99999999999999999999999-", INT64_MAX, AGENT_FILE_TO_END);
}

static void anything_else_is_ignored(void **state)
{
	static const char *const headers[] = {
		"",           "bytes",     "bytes=",    "bytes=-",    "bytes=5",     "bytes=9-5", "bytes=0-1,3-4",
		"bytes=0-1,", "lines=0-1", "bytes=a-b", "bytes=0-b",  "bytes=+1-2",  "bytes=--1", "bytes=0x1-2",
		"bytes=1 -2", " bytes=1-", "bytes =1-", "bytes=1-2;", "bytes=1.0-2",
	};
	struct byte_range range;

	(void)state;
	for (size_t i = 0; i < sizeof(headers) / sizeof(headers[0]); i++)
		assert_false(byte_range_parse(headers[i], &range));
}

static void check_piece(uint64_t size, uint64_t offset, uint64_t length, uint64_t start, uint64_t n)
{
	uint64_t found;

	assert_int_equal(file_piece(size, offset, length, &found), n);
	assert_int_equal(found, start);
}

static void a_piece_lies_within_its_file(void **state)
{
	(void)state;
	check_piece(10, 0, AGENT_FILE_TO_END, 0, 10);
	check_piece(10, 3, 4, 3, 4);
	check_piece(10, 3, 100, 3, 7);
	check_piece(10, 10, 1, 10, 0);
	check_piece(10, 11, AGENT_FILE_TO_END, 10, 0);
	check_piece(10, 3, 0, 10, 0);
	check_piece(10, AGENT_FILE_FROM_END, 4, 6, 4);
	check_piece(10, AGENT_FILE_FROM_END, 11, 0, 10);
	check_piece(10, AGENT_FILE_FROM_END, 0, 10, 0);
	check_piece(10, AGENT_FILE_FROM_END, AGENT_FILE_TO_END, 0, 10);
	check_piece(0, 0, AGENT_FILE_TO_END, 0, 0);
	check_piece(0, AGENT_FILE_FROM_END, 5, 0, 0);
	check_piece(UINT64_MAX, UINT64_MAX - 1, UINT64_MAX, UINT64_MAX - 1, 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(one_range_is_read),
		cmocka_unit_test(anything_else_is_ignored),
		cmocka_unit_test(a_piece_lies_within_its_file),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
