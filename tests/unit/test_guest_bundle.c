/* What the agent believes of a driver: MIME bundles and UTF-8; and how it counts output. */
#include "guest-agent/bundle.h"
#include "guest-agent/output.h"
#include "common/agent_protocol.h"
#include "common/bytes.h"

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdlib.h>
#include <cmocka.h>

static uint8_t wire[4096];

static void put_entry(struct bytes *b, const char *type, const void *data, size_t size)
{
	bytes_put_u16(b, (uint16_t)strlen(type));
	bytes_put(b, type, strlen(type));
	bytes_put_u32(b, (uint32_t)size);
	bytes_put(b, data, size);
}

static size_t one_entry(const char *type, const void *data, size_t size)
{
	struct bytes b = bytes_over(wire, sizeof(wire));

	bytes_put_u16(&b, 1);
	put_entry(&b, type, data, size);
	return b.position;
}

/* On the heap and exactly as long, so that the sanitizer sees a read behind the end. */
static bool is_valid(const void *data, size_t size)
{
	void *copy = malloc(size ? size : 1);
	bool valid;

	memcpy(copy, data, size);
	valid = bundle_is_valid(copy, size);
	free(copy);
	return valid;
}

static void sound_bundle_is_accepted(void **state)
{
	struct bytes b = bytes_over(wire, sizeof(wire));

	(void)state;
	bytes_put_u16(&b, 3);
	put_entry(&b, "text/plain", "caf\xc3\xa9", 5);
	put_entry(&b, "image/png", "\x89PNG\xff\x00", 6);
	put_entry(&b, AGENT_MIME_SCALAR, "1", 1);
	assert_true(is_valid(wire, b.position));
}

static void every_truncation_is_refused(void **state)
{
	struct bytes b = bytes_over(wire, sizeof(wire));

	(void)state;
	bytes_put_u16(&b, 2);
	put_entry(&b, "text/plain", "abc", 3);
	put_entry(&b, "image/png", "abc", 3);
	for (size_t size = 0; size < b.position; size++)
		assert_false(is_valid(wire, size));
	assert_false(is_valid(wire, b.position + 1));
}

static void wild_lengths_are_refused(void **state)
{
	size_t size = one_entry("text/plain", "abc", 3);

	(void)state;
	memset(wire + 14, 0xff, 4); /* the data's length */
	assert_false(is_valid(wire, size));
	size = one_entry("text/plain", "abc", 3);
	memset(wire + 2, 0xff, 2); /* the type's */
	assert_false(is_valid(wire, size));
}

static void counts_outside_the_limits_are_refused(void **state)
{
	struct bytes b = bytes_over(wire, sizeof(wire));

	(void)state;
	bytes_put_u16(&b, 0);
	assert_false(is_valid(wire, b.position));
	b = bytes_over(wire, sizeof(wire));
	bytes_put_u16(&b, AGENT_MIME_ENTRIES_MAX + 1);
	for (int i = 0; i <= AGENT_MIME_ENTRIES_MAX; i++)
		put_entry(&b, "a/b", "", 0);
	assert_false(is_valid(wire, b.position));
	wire[0] = AGENT_MIME_ENTRIES_MAX;
	assert_true(is_valid(wire, b.position - (2 + 3 + 4)));
}

static void odd_mime_types_are_refused(void **state)
{
	char longest[AGENT_MIME_TYPE_MAX + 2];

	(void)state;
	memset(longest, 'a', sizeof(longest));
	longest[AGENT_MIME_TYPE_MAX] = '\0';
	assert_true(is_valid(wire, one_entry(longest, "", 0)));
	longest[AGENT_MIME_TYPE_MAX] = 'a';
	longest[AGENT_MIME_TYPE_MAX + 1] = '\0';
	assert_false(is_valid(wire, one_entry(longest, "", 0)));
	assert_false(is_valid(wire, one_entry("", "", 0)));
	assert_false(is_valid(wire, one_entry("text/ plain", "", 0)));
	assert_false(is_valid(wire, one_entry("text/plain\r\nX: y", "", 0)));
	assert_false(is_valid(wire, one_entry("text/pl\xc3\xa4in", "", 0)));
}

static void text_that_is_not_utf_8_is_refused(void **state)
{
	(void)state;
	assert_false(is_valid(wire, one_entry("text/html", "\xff", 1)));
	assert_false(is_valid(wire, one_entry("application/vnd.x+json", "\"\xed\xa0\x80\"", 5)));
	assert_false(is_valid(wire, one_entry("image/svg+xml", "\x80", 1)));
	assert_true(is_valid(wire, one_entry("image/png", "\xff", 1)));
}

static size_t valid_length(const char *text, size_t size)
{
	return utf8_valid_length(text, size);
}

static void utf_8_is_told_from_what_only_looks_like_it(void **state)
{
	(void)state;
	assert_int_equal(valid_length("", 0), 0);
	assert_int_equal(valid_length("a\0b", 3), 3);
	assert_int_equal(valid_length("\xc3\xa9\xe2\x98\x83\xf0\x9f\x98\x80", 9), 9);
	assert_int_equal(valid_length("\xf4\x8f\xbf\xbf", 4), 4);  /* U+10FFFF */
	assert_int_equal(valid_length("a\xf4\x90\x80\x80", 5), 1); /* above it */
	assert_int_equal(valid_length("a\xc0\x80", 3), 1);         /* overlong */
	assert_int_equal(valid_length("a\xe0\x80\x80", 4), 1);
	assert_int_equal(valid_length("a\xf0\x8f\x80\x80", 5), 1);
	assert_int_equal(valid_length("a\xed\xa0\x80", 4), 1); /* surrogate */
	assert_int_equal(valid_length("a\xe2\x98", 3), 1);     /* cut */
	assert_int_equal(valid_length("a\xe2\x98z", 4), 1);
	assert_int_equal(valid_length("ab\xf5\x80\x80\x80", 6), 2);
	assert_int_equal(valid_length("\x80", 1), 0);
}

static void output_is_admitted_up_to_the_limit_and_counted(void **state)
{
	struct output_limit output = { .limit = 10 };

	(void)state;
	assert_int_equal(output_admit(&output, 4), 4);
	assert_int_equal(output_admit(&output, 4), 4);
	assert_int_equal(output_admit(&output, 4), 2);
	assert_int_equal(output_admit(&output, 100), 0);
	assert_int_equal(output.sent, 10);
	assert_int_equal(output.cut, 102);
}

static void nothing_follows_what_was_discarded(void **state)
{
	struct output_limit output = { .limit = 10 };

	(void)state;
	assert_int_equal(output_admit(&output, 3), 3);
	output_discard(&output, 5);
	assert_int_equal(output_admit(&output, 2), 0);
	assert_int_equal(output.sent, 3);
	assert_int_equal(output.cut, 7);
}

static void limit_may_be_nothing_or_everything(void **state)
{
	struct output_limit nothing = { .limit = 0 };
	struct output_limit everything = { .limit = UINT64_MAX };

	(void)state;
	assert_int_equal(output_admit(&nothing, 7), 0);
	assert_int_equal(nothing.cut, 7);
	assert_int_equal(output_admit(&everything, 1 << 20), 1 << 20);
	assert_int_equal(everything.cut, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(sound_bundle_is_accepted),
		cmocka_unit_test(every_truncation_is_refused),
		cmocka_unit_test(wild_lengths_are_refused),
		cmocka_unit_test(counts_outside_the_limits_are_refused),
		cmocka_unit_test(odd_mime_types_are_refused),
		cmocka_unit_test(text_that_is_not_utf_8_is_refused),
		cmocka_unit_test(utf_8_is_told_from_what_only_looks_like_it),
		cmocka_unit_test(output_is_admitted_up_to_the_limit_and_counted),
		cmocka_unit_test(nothing_follows_what_was_discarded),
		cmocka_unit_test(limit_may_be_nothing_or_everything),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
