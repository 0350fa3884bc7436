#include "api/cli/view.h"
#include "api/cli/exit_status.h"
#include "api/cli/report.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

static const struct view_column columns[] = {
	{ "NAME", "name", VIEW_PLAIN },
	{ "MAX", "properties.scale.max", VIEW_PLAIN },
	{ "CREATED", "at", VIEW_TIME },
	{ NULL, NULL, VIEW_PLAIN },
};

static char output[4096];
static struct error err;

/* What view_print() writes to stdout, in `output`. Returns what it returned. */
static int print_columns(const char *json_text, const struct view_column *shown, const char *format)
{
	json_t *json = json_loads(json_text, 0, NULL);
	int fd = memfd_create("stdout", MFD_CLOEXEC), before;
	ssize_t n;
	int ret;

	assert_non_null(json);
	fflush(stdout);
	before = dup(STDOUT_FILENO);
	dup2(fd, STDOUT_FILENO);
	err = (struct error) { 0 };
	ret = view_print(json, shown, format, &err);
	fflush(stdout);
	dup2(before, STDOUT_FILENO);
	close(before);
	n = pread(fd, output, sizeof(output) - 1, 0);
	output[n < 0 ? 0 : n] = '\0';
	close(fd);
	json_decref(json);
	return ret;
}

static int print(const char *json_text, const char *format)
{
	return print_columns(json_text, columns, format);
}

static void a_number_in_a_path_is_an_entry_of_an_array(void **state)
{
	static const struct view_column in_arrays[] = {
		{ "FIRST", "list.0.name", VIEW_PLAIN },
		{ "SECOND", "list.1.name", VIEW_PLAIN },
		{ NULL, NULL, VIEW_PLAIN },
	};

	(void)state;
	assert_int_equal(print_columns("{\"list\":[{\"name\":\"a\"}]}", in_arrays, "tsv"), 0);
	assert_string_equal(output, "a\t-\n");
	assert_int_equal(print_columns("{\"list\":null}", in_arrays, "tsv"), 0);
	assert_string_equal(output, "-\t-\n");
}

static void tables_are_as_wide_as_their_cells(void **state)
{
	(void)state;
	assert_int_equal(print("[{\"name\":\"a\",\"properties\":{\"scale\":{\"max\":1000}},"
			       "\"at\":\"2024-11-11T09:05:02.4865293Z\"},{\"name\":\"gr\303\266\303\237er\"}]",
			       "table"),
			 0);
	assert_string_equal(output, "NAME    MAX   CREATED\n"
				    "a       1000  2024-11-11T09:05:02Z\n"
				    "gr\303\266\303\237er  -     -\n");
}

static void one_object_is_a_table_of_one_row(void **state)
{
	(void)state;
	assert_int_equal(print("{\"name\":\"a\",\"at\":\"\"}", "table"), 0);
	assert_string_equal(output, "NAME  MAX  CREATED\na     -    -\n");
	assert_int_equal(print("[]", "table"), 0);
	assert_string_equal(output, "NAME  MAX  CREATED\n");
}

static void what_is_piped_is_json_as_it_came(void **state)
{
	(void)state;
	assert_int_equal(print("{\"z\":1,\"a\":[true,null]}", NULL), 0);
	assert_string_equal(output, "{\n  \"z\": 1,\n  \"a\": [\n    true,\n    null\n  ]\n}\n");
}

static void texts_of_the_service_do_not_drive_the_terminal(void **state)
{
	char text[16];

	(void)state;
	assert_int_equal(print("{\"name\":\"\\u001b[31mred\\u0007\\u009b1mx\\n\"}", "table"), 0);
	assert_null(strchr(output, '\033'));
	assert_null(strchr(output, '\a'));
	assert_null(strstr(output, "\302\233"));
	assert_non_null(strstr(output, " [31mred "));
	report_make_safe("0123456789abcdefghij", text, sizeof(text));
	assert_string_equal(text, "0123456789abcde");
	/* A character that the end cuts in two. */
	report_make_safe("0123456789abcd\302\233", text, sizeof(text));
	assert_string_equal(text, "0123456789abcd ");
}

static void an_answer_without_the_value_is_an_error(void **state)
{
	struct error e = { 0 };

	(void)state;
	assert_true(view_print(NULL, columns, "json", &e) < 0);
	assert_int_equal(e.code, STATUS_SERVICE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_number_in_a_path_is_an_entry_of_an_array),
		cmocka_unit_test(tables_are_as_wide_as_their_cells),
		cmocka_unit_test(one_object_is_a_table_of_one_row),
		cmocka_unit_test(what_is_piped_is_json_as_it_came),
		cmocka_unit_test(texts_of_the_service_do_not_drive_the_terminal),
		cmocka_unit_test(an_answer_without_the_value_is_an_error),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
