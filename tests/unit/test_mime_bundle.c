#include "api/mime_bundle.h"

#include "tests/unit/agent_frame_helper.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>

static uint8_t body[4096];

static void entries_are_found_by_type(void **state)
{
	struct bytes b = bytes_over(body, sizeof(body));
	struct mime_bundle bundle;

	(void)state;
	bytes_put_u16(&b, 2);
	put_mime_entry(&b, "text/plain", "x", 1);
	put_mime_entry(&b, "image/png", "\x89PNG", 4);
	assert_int_equal(mime_bundle_decode(&bundle, body, b.position), 0);
	assert_int_equal(mime_bundle_find(&bundle, "text/plain")->size, 1);
	assert_null(mime_bundle_find(&bundle, "text/html"));
	assert_string_equal(mime_bundle_image(&bundle)->type, "image/png");
}

static void every_cut_bundle_is_refused(void **state)
{
	struct bytes b = bytes_over(body, sizeof(body));
	struct mime_bundle bundle;

	(void)state;
	bytes_put_u16(&b, 2);
	put_mime_entry(&b, "text/plain", "abc", 3);
	put_mime_entry(&b, "text/html", "", 0);
	for (size_t size = 0; size < b.position; size++)
		assert_int_equal(mime_bundle_decode(&bundle, body, size), -EPROTO);
	assert_int_equal(mime_bundle_decode(&bundle, body, b.position), 0);
	assert_int_equal(mime_bundle_decode(&bundle, body, b.position + 1), -EPROTO);
}

static void counts_and_lengths_are_bounded(void **state)
{
	struct bytes b = bytes_over(body, sizeof(body));
	struct mime_bundle bundle;

	(void)state;
	bytes_put_u16(&b, AGENT_MIME_ENTRIES_MAX + 1);
	for (int i = 0; i <= AGENT_MIME_ENTRIES_MAX; i++)
		put_mime_entry(&b, "a/b", "", 0);
	assert_int_equal(mime_bundle_decode(&bundle, body, b.position), -EPROTO);

	b = bytes_over(body, sizeof(body));
	bytes_put_u16(&b, 1);
	bytes_put_u16(&b, AGENT_MIME_TYPE_MAX + 1);
	for (int i = 0; i <= AGENT_MIME_TYPE_MAX; i++)
		bytes_put_u8(&b, 'a');
	bytes_put_u32(&b, 0);
	assert_int_equal(mime_bundle_decode(&bundle, body, b.position), -EPROTO);

	b = bytes_over(body, sizeof(body));
	bytes_put_u16(&b, 1);
	bytes_put_u16(&b, 3);
	bytes_put(&b, "a/b", 3);
	bytes_put_u32(&b, UINT32_MAX);
	assert_int_equal(mime_bundle_decode(&bundle, body, b.position), -EPROTO);
}

static void a_type_with_odd_characters_is_refused(void **state)
{
	static const char *const bad[] = { "", "a b", "a\"b", "a\nb", "a\\b", "a\x7f", "\xc3\xa9/x" };

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct bytes b = bytes_over(body, sizeof(body));
		struct mime_bundle bundle;

		bytes_put_u16(&b, 1);
		put_mime_entry(&b, bad[i], "", 0);
		assert_int_equal(mime_bundle_decode(&bundle, body, b.position), -EPROTO);
	}
}

static void text_types_are_told_from_binary_ones(void **state)
{
	(void)state;
	assert_true(mime_type_is_text("text/html"));
	assert_true(mime_type_is_text("image/svg+xml"));
	assert_true(mime_type_is_text("application/json"));
	assert_true(mime_type_is_text("application/vnd.dataresource+json"));
	assert_false(mime_type_is_text("image/png"));
	assert_false(mime_type_is_text("application/pdf"));
	assert_false(mime_type_is_text("json"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(entries_are_found_by_type),
		cmocka_unit_test(every_cut_bundle_is_refused),
		cmocka_unit_test(counts_and_lengths_are_bounded),
		cmocka_unit_test(a_type_with_odd_characters_is_refused),
		cmocka_unit_test(text_types_are_told_from_binary_ones),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
