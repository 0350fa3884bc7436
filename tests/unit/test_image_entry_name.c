#include "api/image/entry_name.h"
#include "api/image/image_name.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <string.h>

static void names_mean_paths(void **state)
{
	static const struct {
		const char *name;
		int meaning; /* negative: it is refused */
		const char *path;
	} cases[] = {
		{ "a", ENTRY_FILE, "a" },
		{ "./a//b/./c/", ENTRY_FILE, "a/b/c" },
		{ ".", ENTRY_FILE, "" },
		{ "./", ENTRY_FILE, "" },
		{ "...", ENTRY_FILE, "..." },
		{ "a/..b/c..", ENTRY_FILE, "a/..b/c.." },
		{ "a/.wh.b", ENTRY_WHITEOUT, "a/b" },
		{ ".wh.b", ENTRY_WHITEOUT, "b" },
		{ ".wh..b", ENTRY_WHITEOUT, ".b" },
		{ ".wh.....", ENTRY_WHITEOUT, "...." },
		{ "a/.wh..wh..opq", ENTRY_OPAQUE, "a" },
		{ ".wh..wh..opq", ENTRY_OPAQUE, "" },
		{ ".wh..wh.aufs", ENTRY_NOTHING, NULL },
		{ ".wh..wh.plnk/1.2", ENTRY_NOTHING, NULL },
		{ "", -EINVAL, NULL },
		{ "/", -EINVAL, NULL },
		{ "/a", -EINVAL, NULL },
		{ "..", -EINVAL, NULL },
		{ "a/..", -EINVAL, NULL },
		{ "./../a", -EINVAL, NULL },
		{ ".wh.", -EINVAL, NULL },
		{ ".wh..", -EINVAL, NULL },
		{ "a/.wh...", -EINVAL, NULL },
		{ ".wh.a/b", -EINVAL, NULL },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct error err = { 0 };
		char path[PATH_MAX];

		assert_int_equal(entry_name_parse(cases[i].name, path, &err), cases[i].meaning);
		if (cases[i].path)
			assert_string_equal(path, cases[i].path);
		if (cases[i].meaning < 0)
			assert_true(err.text[0] != '\0');
	}
}

static void the_longest_path_fits(void **state)
{
	char name[PATH_MAX + 1], path[PATH_MAX];
	struct error err = { 0 };

	(void)state;
	for (size_t i = 0; i < PATH_MAX; i++)
		name[i] = i % 100 == 99 ? '/' : 'x';
	name[PATH_MAX - 1] = '\0';
	assert_int_equal(entry_name_parse(name, path, &err), ENTRY_FILE);
	assert_string_equal(path, name);
	memcpy(name + PATH_MAX - 1, "y", 2);
	assert_int_equal(entry_name_parse(name, path, &err), -EINVAL);
}

static void links_out_of_the_image_are_told(void **state)
{
	(void)state;
	assert_false(entry_name_leaves_root("l", "a"));
	assert_false(entry_name_leaves_root("a/b/l", "../../c"));
	assert_false(entry_name_leaves_root("l", "/etc/../../x"));
	assert_false(entry_name_leaves_root("a/l", "..//./x"));
	assert_false(entry_name_leaves_root("l", "...//..x"));
	assert_true(entry_name_leaves_root("l", ".."));
	assert_true(entry_name_leaves_root("a/l", "../../x"));
	assert_true(entry_name_leaves_root("a/l", "b/../../../a/x"));
}

static void what_is_shown_is_cut_and_safe(void **state)
{
	char shown[24];

	(void)state;
	assert_string_equal(entry_name_show(shown, sizeof(shown), "a\n\\\xff"), "a\\x0a\\x5c\\xff");
	assert_string_equal(entry_name_show(shown, sizeof(shown), "0123456789abcdefghijk"), "0123456789abcdef...");
}

static void image_names_have_a_tag(void **state)
{
	static const char *const good[][2] = {
		{ "app", "app:latest" },
		{ "app:1", "app:1" },
		{ "h:5000/app", "h:5000/app:latest" },
		{ "h:5000/a/b:c", "h:5000/a/b:c" },
		{ "a@sha256:12", "a@sha256:12" },
	};
	static const char *const bad[] = { "",   "/a", "a/", "a//b", "../a", "a/../b",
					   ".a", "-a", "a:", "a b",  "a\n",  "%41" };
	char name[IMAGE_NAME_SIZE], file[IMAGE_FILE_SIZE], text[IMAGE_NAME_SIZE + 10];
	struct error err = { 0 };

	(void)state;
	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		assert_int_equal(image_name_normalize(good[i][0], name, &err), 0);
		assert_string_equal(name, good[i][1]);
	}
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_int_equal(image_name_normalize(bad[i], name, &err), -EINVAL);
	image_name_to_file("h:5000/a@b", file);
	assert_string_equal(file, "h%3A5000%2Fa%40b.json");

	/* As a file's name it would be longer than any may be. */
	for (size_t i = 0; i < 190; i += 2)
		memcpy(text + i, "a/", 3);
	memcpy(text + 190, "a", 2);
	assert_int_equal(image_name_normalize(text, name, &err), -EINVAL);
	memset(text, 'a', sizeof(text));
	text[sizeof(text) - 1] = '\0';
	assert_int_equal(image_name_normalize(text, name, &err), -EINVAL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(names_mean_paths),
		cmocka_unit_test(the_longest_path_fits),
		cmocka_unit_test(links_out_of_the_image_are_told),
		cmocka_unit_test(what_is_shown_is_cut_and_safe),
		cmocka_unit_test(image_names_have_a_tag),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
