/* File names as clients write them into Content-Disposition. */
#include "api/content_disposition.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define LINE "Content-Disposition: form-data; name=\"file\"; "

/* `expected` NULL: there is no name. */
static void check(const char *headers, bool decodes_percent, const char *expected)
{
	char *copy = strdup(headers), name[FILE_NAME_SIZE];
	bool found = content_disposition_file_name(copy, decodes_percent, name);

	free(copy);
	assert_int_equal(found, expected != NULL);
	if (expected)
		assert_string_equal(name, expected);
}

static void plain(void **state)
{
	(void)state;
	check(LINE "filename=\"a.txt\"\r\n\r\n", false, "a.txt");
	check(LINE "filename=\"día ñ.txt\"\r\n\r\n", false, "día ñ.txt");
	check(LINE "filename=a.txt\r\n\r\n", false, "a.txt");
	check(LINE "FileName=a.txt; x=y\r\n\r\n", false, "a.txt");
	check("content-disposition:form-data;name=file;filename=a.txt\n\n", false, "a.txt");
	check("X: y\r\nCONTENT-DISPOSITION : form-data; filename=\"a;b\"\r\nZ: y\r\n\r\n", false, "a;b");
	check(LINE "filename=\"a=b; filename=c\"\r\n\r\n", false, "a=b; filename=c");
	check(LINE "filename=\"\"\r\n\r\n", false, "");
	check(LINE "filename=\"open\r\n\r\n", false, "open");
	check("Content-Disposition: form-data; filename=\"C:\\dir\\a.txt\"\r\n\r\n", false, "C:\\dir\\a.txt");
}

static void none(void **state)
{
	(void)state;
	check("", false, NULL);
	check("\r\n", false, NULL);
	check("X-Content-Disposition: x; filename=a\r\n\r\n", false, NULL);
	check("Content-Disposition\r\n\r\n", false, NULL);
	check("Content-Disposition:\r\n\r\n", false, NULL);
	check("Content-Disposition: form-data; name=filename\r\n\r\n", false, NULL);
	check("Content-Disposition: form-data; xfilename=a; filename\r\n\r\n", false, NULL);
	check("Content-Disposition: form-data; name=\"x; filename=a\"\r\n\r\n", false, NULL);
	check("Content-Disposition: ;;;\r\n\r\n", false, NULL);
	check(LINE "filename=\"%00\"\r\n\r\n", true, "%00");
}

static void escapes(void **state)
{
	(void)state;
	check(LINE "filename=\"q\\\"\\\\.txt\"\r\n\r\n", false, "q\"\\.txt");
	check(LINE "filename=\"q%22%0D%0a.txt\"\r\n\r\n", false, "q\"\r\n.txt");
	check(LINE "filename=\"100%41%2e%\"\r\n\r\n", false, "100%41%2e%");
}

static void percent_of_aiohttp(void **state)
{
	(void)state;
	check(LINE "filename=\"u%20%C3%B1.txt\"\r\n\r\n", true, "u ñ.txt");
	check(LINE "filename=\"u%20%C3.txt\"\r\n\r\n", true, "u%20%C3.txt"); /* decodes to no UTF-8 */
	check(LINE "filename=\"u%20%C3%B1.txt\"\r\n\r\n", false, "u%20%C3%B1.txt");
}

static void extended(void **state)
{
	(void)state;
	check(LINE "filename=a.txt; filename*=utf-8''%C3%B1%20b\r\n\r\n", false, "ñ b");
	check(LINE "filename*=UTF-8'de'%C3%B1; filename=\"a.txt\"\r\n\r\n", false, "ñ");
	check(LINE "filename=a.txt; filename*=iso-8859-1''%F1\r\n\r\n", false, "a.txt");
	check(LINE "filename=a.txt; filename*=utf-8''%F1\r\n\r\n", false, "a.txt");
	check(LINE "filename=a.txt; filename*=utf-8''%00\r\n\r\n", false, "a.txt");
	check(LINE "filename=a.txt; filename*=utf-8'\r\n\r\n", false, "a.txt");
}

static void words(void **state)
{
	(void)state;
	check(LINE "filename=\"=?utf-8?B?w7EudHh0?=\"\r\n\r\n", false, "ñ.txt");
	check(LINE "filename=\"=?UTF-8?Q?=C3=B1_a?=\"\r\n\r\n", false, "ñ a");
	check(LINE "filename=\"=?utf-8?B?%%%?=\"\r\n\r\n", false, "=?utf-8?B?%%%?=");
	check(LINE "filename=\"=?utf-8?B?AA==?=\"\r\n\r\n", false, "=?utf-8?B?AA==?=");
	check(LINE "filename=\"=?utf-8?B?=\"\r\n\r\n", false, "=?utf-8?B?=");
	check(LINE "filename=\"=?utf-8?B?"
		   "?=\"\r\n\r\n",
	      false, "");
}

static void too_long(void **state)
{
	char headers[FILE_NAME_SIZE + 128] = LINE "filename=";
	size_t n = strlen(headers);

	(void)state;
	memset(headers + n, 'x', FILE_NAME_SIZE);
	check(headers, false, NULL);
	headers[n + FILE_NAME_SIZE - 1] = '\0';
	check(headers, false, headers + n);
}

static void noise(void **state)
{
	static const char *const pieces[] = {
		"filename", "*",  "=",          ";",  "\"", "\\",   "utf-8''",
		"%",        "C3", "=?utf-8?b?", "?=", " ",  "\r\n", "Content-Disposition:",
		"a",        "_"
	};
	char name[FILE_NAME_SIZE];

	(void)state;
	srand(2);
	for (int round = 0; round < 20000; round++) {
		char headers[512] = "Content-Disposition: x; ";

		for (int i = 0; i < 20; i++)
			strcat(headers, pieces[(size_t)rand() % (sizeof(pieces) / sizeof(pieces[0]))]);
		if (content_disposition_file_name(headers, rand() % 2, name))
			assert_true(strlen(name) < sizeof(name));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(plain),    cmocka_unit_test(none),
		cmocka_unit_test(escapes),  cmocka_unit_test(percent_of_aiohttp),
		cmocka_unit_test(extended), cmocka_unit_test(words),
		cmocka_unit_test(too_long), cmocka_unit_test(noise),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
