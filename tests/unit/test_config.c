#include "api/config.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static char file_path[] = "/tmp/test-config-XXXXXX";

/* Loads with `text` as the file and `flag` (may be NULL) as a further argument. */
static int load(struct config *c, const char *text, const char *flag, struct error *err)
{
	char name[] = "hearthd", config_flag[] = "--config", home_flag[] = "--home=/h";
	char *argv[] = { name, config_flag, file_path, home_flag, (char *)(uintptr_t)flag, NULL };
	FILE *file = fopen(file_path, "w");

	assert_non_null(file);
	fputs(text, file);
	fclose(file);
	return config_load(c, flag ? 5 : 4, argv, err);
}

static void check_error(const char *text, const char *flag, const char *expected)
{
	struct config c;
	struct error err = { 0 };

	assert_true(load(&c, text, flag, &err) < 0);
	if (!strstr(err.text, expected))
		fail_msg("\"%s\" is not in \"%s\"", expected, err.text);
	config_fini(&c);
}

static void defaults_hold_where_nothing_is_set(void **state)
{
	struct config c;
	struct error err;

	(void)state;
	assert_int_equal(load(&c, "", NULL, &err), 0);
	assert_string_equal(c.listen, "127.0.0.1:8080");
	assert_string_equal(c.kernel, "/h/images/vmlinux");
	assert_string_equal(c.token_file, "/h/token");
	assert_string_equal(c.database, "/h/hearth.db");
	assert_string_equal(c.image_dir, "/h/container-images");
	assert_int_equal(c.max_sessions, 100);
	assert_int_equal(c.execution_timeout_s, 220);
	config_fini(&c);
}

static void the_file_overrules_defaults_and_flags_overrule_the_file(void **state)
{
	const char *text = "# a comment\n\n  max-sessions = 1_0  # ten\nlisten = \"[::1]:0\"\r\nimage='/a#b'\n";
	struct config c;
	struct error err;

	(void)state;
	assert_int_equal(load(&c, text, NULL, &err), 0);
	assert_int_equal(c.max_sessions, 10);
	assert_string_equal(c.listen, "[::1]:0");
	assert_string_equal(c.image, "/a#b");
	config_fini(&c);
	assert_int_equal(load(&c, text, "--max-sessions=7", &err), 0);
	assert_int_equal(c.max_sessions, 7);
	config_fini(&c);
}

static void escapes_in_strings_are_understood(void **state)
{
	struct config c;
	struct error err;

	(void)state;
	assert_int_equal(load(&c, "image = \"/a\\\"b\\\\c\"", NULL, &err), 0);
	assert_string_equal(c.image, "/a\"b\\c");
	config_fini(&c);
}

static void errors_of_the_file_name_the_line(void **state)
{
	(void)state;
	check_error("\nmax-sesions = 1\n", NULL, ":2: there is no key max-sesions");
	check_error("max-sessions = \"1\"", NULL, ":1: max-sessions must be an integer");
	check_error("listen = 8080", NULL, ":1: listen must be a string");
	check_error("max-sessions = true", NULL, ":1: max-sessions must be an integer");
	check_error("max-sessions = 0", NULL, ":1: max-sessions must be from 1");
	check_error("max-sessions = 99999999999999999999", NULL, ":1:");
	check_error("max-sessions", NULL, ":1: there is no =");
	check_error("= 1", NULL, ":1: a line must be");
	check_error("[pool]", NULL, ":1: tables");
	check_error("listen = \"a", NULL, ":1: the string has no closing quote");
	check_error("listen = \"a\" b", NULL, ":1: there is something behind");
	check_error("listen = \"\\q\"", NULL, ":1: only");
	check_error("max-sessions = 1\nmax-sessions = 2", NULL, ":2: the key max-sessions is set twice");
	check_error("execution-timeout-seconds = 2000", NULL, "more than max-execution-timeout-seconds");
}

static void errors_of_flags_name_the_flag(void **state)
{
	(void)state;
	check_error("", "--nope=1", "--nope");
	check_error("", "--max-sessions=x", "--max-sessions must be an integer");
	check_error("", "--max-sessions", "needs a value");
	check_error("", "stray", "stray is no flag");
	check_error("", "--log-level=loud", "log-level must be");
	check_error("", "--config=/tmp", "cannot read /tmp: Is a directory");
	check_error("", "--config=/tmp/nowhere/hearth.toml", "cannot read /tmp/nowhere/hearth.toml: No such file");
}

static void what_is_printed_can_be_read_again(void **state)
{
	struct config c, again;
	struct error err;
	char *text;
	size_t size;
	FILE *out = open_memstream(&text, &size);

	(void)state;
	assert_int_equal(load(&c, "image = \"/a\\\"b\"\ncooldown-seconds = 77", NULL, &err), 0);
	config_print(&c, out);
	fclose(out);
	assert_int_equal(load(&again, text, NULL, &err), 0);
	assert_string_equal(again.image, "/a\"b");
	assert_int_equal(again.cooldown_s, 77);
	config_fini(&c);
	config_fini(&again);
	free(text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(defaults_hold_where_nothing_is_set),
		cmocka_unit_test(the_file_overrules_defaults_and_flags_overrule_the_file),
		cmocka_unit_test(escapes_in_strings_are_understood),
		cmocka_unit_test(errors_of_the_file_name_the_line),
		cmocka_unit_test(errors_of_flags_name_the_flag),
		cmocka_unit_test(what_is_printed_can_be_read_again),
	};
	int rc;

	close(mkstemp(file_path));
	rc = cmocka_run_group_tests(tests, NULL, NULL);
	unlink(file_path);
	return rc;
}
