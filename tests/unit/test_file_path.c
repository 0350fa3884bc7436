/* Names and paths of files as clients write them. */
#include "api/file_path.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* `expected` NULL: refused. */
static void check(const char *folder, const char *name, const char *expected)
{
	char path[FILE_PATH_SIZE] = "";
	struct error err = { 0 };
	int rc = folder ? file_path_add_folder(path, folder, &err) : 0;

	if (rc == 0 && name)
		rc = file_path_add_name(path, name, &err);
	assert_int_equal(rc, expected ? 0 : -EINVAL);
	if (expected)
		assert_string_equal(path, expected);
	else
		assert_non_null(strstr(err.text, "cannot contain any reserved file path characters"));
}

static void folders(void **state)
{
	static const char *const roots[] = {
		"", "/", ".", "./", "/mnt/data", "mnt/data", "/mnt/data/", "//mnt/data//."
	};

	(void)state;
	for (size_t i = 0; i < sizeof(roots) / sizeof(roots[0]); i++)
		check(roots[i], NULL, "");
	check("/mnt/data/sub", NULL, "sub");
	check("sub", NULL, "sub");
	check("/sub/./x//", NULL, "sub/x");
	check("/mnt/database", NULL, "mnt/database");
	check("sub", "a", "sub/a");
	check("...", "..a", ".../..a");
}

static void names(void **state)
{
	(void)state;
	check(NULL, "a.txt", "a.txt");
	check(NULL, "/mnt/data/a.txt", "a.txt");
	check(NULL, "x/a.txt", "x/a.txt");
	check(NULL, "día %41 \"q\" 数据", "día %41 \"q\" 数据");
	check(NULL, "", NULL);
	check(NULL, "/", NULL);
	check(NULL, ".", NULL);
	check(NULL, "a/", NULL);
	check(NULL, "/mnt/data", NULL);
}

static void ways_out(void **state)
{
	char part[300], path[5000];

	(void)state;
	check("..", NULL, NULL);
	check("a/../b", NULL, NULL);
	check(NULL, "../a", NULL);
	check(NULL, "/mnt/data/../a", NULL);
	check(NULL, "a\nb", NULL);
	check(NULL, "a\x7f", NULL);
	check(NULL, "\xff", NULL);
	memset(part, 'x', sizeof(part));
	part[256] = '\0';
	check(NULL, part, NULL);
	part[255] = '\0';
	check(NULL, part, part);
	for (size_t i = 0; i < sizeof(path); i++)
		path[i] = i % 2 ? '/' : 'a';
	path[4999] = '\0';
	check(path, NULL, NULL);
	path[4095] = '\0';
	check(NULL, path + (4095 % 2 ? 0 : 1), path);
	path[4097] = '\0';
	path[4095] = '/';
	check(NULL, path, NULL);
}

static void content_types(void **state)
{
	(void)state;
	assert_string_equal(file_path_content_type("a.txt"), "text/plain; charset=utf-8");
	assert_string_equal(file_path_content_type("x.d/A.PNG"), "image/png");
	assert_string_equal(file_path_content_type("x.txt/noending"), "application/octet-stream");
	assert_string_equal(file_path_content_type(""), "application/octet-stream");
	assert_string_equal(file_path_name("a/b/c"), "c");
	assert_string_equal(file_path_name("c"), "c");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(folders),
		cmocka_unit_test(names),
		cmocka_unit_test(ways_out),
		cmocka_unit_test(content_types),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
