/* The parts of `hearth` that read what users and the service hand it. */
#include "api/cli/json.h"
#include "api/cli/picture.h"
#include "api/cli/source.h"
#include "common/cleanup.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>

static void the_extension_tells_the_language(void **state)
{
	(void)state;
	assert_string_equal(source_language_of_name("a/b.c/stats.py"), "python");
	assert_string_equal(source_language_of_name("x.js"), "node");
	assert_string_equal(source_language_of_name("x.MJS"), "node");
	assert_string_equal(source_language_of_name("./x.y.cjs"), "node");
	assert_string_equal(source_language_of_name("x.sh"), "shell");
	assert_null(source_language_of_name("dir.py/script"));
	assert_null(source_language_of_name("x.pyc"));
	assert_null(source_language_of_name(""));
}

static const char *of_shebang(const char *code)
{
	return source_language_of_shebang(code, strlen(code));
}

static void a_shebang_line_tells_the_language(void **state)
{
	(void)state;
	assert_string_equal(of_shebang("#!/usr/bin/env python3\nprint(1)"), "python");
	assert_string_equal(of_shebang("#!/usr/bin/env -S node --flag"), "node");
	assert_string_equal(of_shebang("#!/bin/sh\npython x"), "shell");
	assert_string_equal(of_shebang("#!/usr/bin/env bash"), "shell");
	assert_null(of_shebang("#!/usr/bin/perl"));
	assert_null(of_shebang("# python\n"));
	assert_null(of_shebang("#"));
	assert_null(source_language_of_shebang(NULL, 0));
}

static void utf8_is_told_from_other_bytes(void **state)
{
	static const struct {
		const char *text;
		size_t good;
	} cases[] = {
		{ "", 0 },
		{ "plain", 5 },
		{ "\xc3\xa9\xe2\x82\xac\xf0\x9f\x94\xa5", 9 },
		{ "\xef\xbf\xbf\xf4\x8f\xbf\xbf", 7 },
		{ "a\xff", 1 },
		{ "ab\xc3", 2 },           /* cut short */
		{ "\xe2\x82", 0 },         /* likewise */
		{ "\xc0\xaf", 0 },         /* overlong */
		{ "\xe0\x9f\xbf", 0 },     /* overlong */
		{ "\xf0\x8f\xbf\xbf", 0 }, /* overlong */
		{ "\xed\xa0\x80", 0 },     /* a surrogate */
		{ "\xf4\x90\x80\x80", 0 }, /* above U+10FFFF */
		{ "caf\xe9 au lait", 3 },  /* Latin-1 */
		{ "\xc3\x28", 0 },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		assert_int_equal(source_utf8_length(cases[i].text, strlen(cases[i].text)), cases[i].good);
	assert_int_equal(source_utf8_length("a\0b", 3), 3);
}

static void an_answer_with_any_integer_can_be_read(void **state)
{
	static const char text[] =
		"{\"result\":{\"executionResult\":-123456789012345678901234567890,\"x\":1.5e300},"
		"\"s\":\"\\\"99999999999999999999999\",\"n\":123456789012345678,\"status\":\"Failed\"}";
	json_t *json = json_parse(text, strlen(text));

	(void)state;
	assert_non_null(json);
	assert_string_equal(json_string_value(json_object_get(json, "status")), "Failed");
	assert_string_equal(json_string_value(json_object_get(json, "s")), "\"99999999999999999999999");
	assert_true(json_integer_value(json_object_get(json, "n")) == 123456789012345678);
	json_decref(json);
}

static void long_numbers_keep_their_value(void **state)
{
	static const char text[] =
		"[0.1234567890123456789, 9223372036854775807, -9223372036854775808, 9223372036854775808,"
		"-123456789012345678901234567890, 1.000000000000000000e2, -12345678901234567]";
	AUTO_FREE char *digits = malloc(403);
	json_t *json = json_parse(text, strlen(text));

	(void)state;
	assert_non_null(json);
	assert_true(json_real_value(json_array_get(json, 0)) == 0.1234567890123456789);
	assert_true(json_integer_value(json_array_get(json, 1)) == INT64_MAX);
	assert_true(json_integer_value(json_array_get(json, 2)) == INT64_MIN);
	assert_true(json_real_value(json_array_get(json, 3)) == 9223372036854775808.0);
	assert_true(json_real_value(json_array_get(json, 4)) == -123456789012345678901234567890.0);
	assert_true(json_real_value(json_array_get(json, 5)) == 100.0);
	assert_true(json_integer_value(json_array_get(json, 6)) == -12345678901234567);
	json_decref(json);

	/* Beyond a double, too. */
	assert_non_null(digits);
	memset(digits, '9', 402);
	digits[0] = '-';
	digits[402] = 0;
	json = json_parse(digits, 402);
	assert_true(json_real_value(json) == -1e308);
	json_decref(json);
}

static void what_is_not_json_is_refused(void **state)
{
	static const char *const bad[] = { "",
					   "{",
					   "\"a\\",
					   "{\"a\":00}",
					   "[1] 2",
					   "00000000000000000000",
					   "1-2-3-4-5-6-7-8-9-10",
					   "{\"a\":\"\x80\"}" };

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_null(json_parse(bad[i], strlen(bad[i])));
}

static void a_picture_never_overwrites_a_file(void **state)
{
	char directory[] = "/tmp/hearth-test-XXXXXX";
	json_t *bundle = json_pack("{s:s, s:s}", "image/png", "iVBORw==", "text/plain", "<Figure>");
	struct error err = { .code = 0 };
	char folder[64];
	char paths[2][128];
	struct stat st;

	(void)state;
	assert_non_null(mkdtemp(directory));
	snprintf(folder, sizeof(folder), "%s/new", directory);
	for (int i = 0; i < 2; i++) {
		assert_int_equal(picture_save(bundle, folder, paths[i], sizeof(paths[i]), &err), 1);
		assert_int_equal(stat(paths[i], &st), 0);
		assert_int_equal(st.st_size, 4);
	}
	assert_string_not_equal(paths[0], paths[1]);
	unlink(paths[0]);
	unlink(paths[1]);
	rmdir(folder);
	rmdir(directory);
	json_decref(bundle);
}

static void a_bundle_without_a_picture_saves_nothing(void **state)
{
	json_t *bundle = json_pack("{s:s, s:i}", "text/plain", "42", "image/png", 7);
	struct error err = { .code = 0 };
	char path[64];

	(void)state;
	assert_int_equal(picture_save(bundle, "/nonexistent", path, sizeof(path), &err), 0);
	assert_int_equal(err.code, 0);
	json_decref(bundle);
}

static void a_broken_picture_is_an_error(void **state)
{
	json_t *bundle = json_pack("{s:s}", "image/png", "<not base64>");
	struct error err = { .code = 0 };
	char path[64];

	(void)state;
	assert_true(picture_save(bundle, "/nonexistent", path, sizeof(path), &err) < 0);
	assert_non_null(strstr(err.text, "base64"));
	json_decref(bundle);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_extension_tells_the_language),
		cmocka_unit_test(a_shebang_line_tells_the_language),
		cmocka_unit_test(utf8_is_told_from_other_bytes),
		cmocka_unit_test(an_answer_with_any_integer_can_be_read),
		cmocka_unit_test(long_numbers_keep_their_value),
		cmocka_unit_test(what_is_not_json_is_refused),
		cmocka_unit_test(a_picture_never_overwrites_a_file),
		cmocka_unit_test(a_bundle_without_a_picture_saves_nothing),
		cmocka_unit_test(a_broken_picture_is_an_error),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
