/* Variables of containers: what may be handed over, how it is kept and written, what an entrypoint begins with. */
#include "guest-agent/container_environment.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

#define BODY(text) text, sizeof(text) /* with the NUL of its last variable */

static struct container_variables *none(void **state)
{
	struct container_variables *variables = *state;

	variables->size = 0;
	return variables;
}

static void assert_holds(const struct container_variables *variables, const char *body, size_t size)
{
	assert_int_equal(variables->size, size);
	assert_memory_equal(variables->data, body, size);
}

static void test_what_is_refused(void **state)
{
	static char long_one[AGENT_CONTAINER_ENVIRONMENT_MAX + 1];

	(void)state;
	assert_null(container_variables_check("", 0));
	assert_null(container_variables_check(BODY("A=")));
	assert_null(container_variables_check(BODY("A=1\0B=x=y z")));
	assert_non_null(container_variables_check("A=1", 3));
	assert_non_null(container_variables_check(BODY("A")));
	assert_non_null(container_variables_check(BODY("=A")));
	assert_non_null(container_variables_check(BODY("A=1\0")));
	assert_non_null(container_variables_check(BODY("A=1\n")));
	assert_non_null(container_variables_check(BODY("A=1\rB=2")));
	memset(long_one, 'A', sizeof(long_one));
	long_one[1] = '=';
	long_one[sizeof(long_one) - 1] = '\0';
	assert_non_null(container_variables_check(long_one, sizeof(long_one)));
}

static void test_each_name_is_there_once(void **state)
{
	struct container_variables *v = none(state);

	assert_int_equal(container_variables_set(v, BODY("A=1\0AB=2\0B=3")), 0);
	assert_holds(v, BODY("A=1\0AB=2\0B=3"));
	assert_int_equal(container_variables_set(v, BODY("A=4")), 0);
	assert_holds(v, BODY("AB=2\0B=3\0A=4"));
	assert_int_equal(container_variables_set(v, BODY("AB=\0C=5\0C=6\0D=")), 0);
	assert_holds(v, BODY("B=3\0A=4\0C=6"));
	assert_int_equal(container_variables_set(v, BODY("A=\0B=\0C=")), 0);
	assert_int_equal(v->size, 0);
}

static void test_too_much_changes_nothing(void **state)
{
	struct container_variables *v = none(state);
	static char body[AGENT_CONTAINER_ENVIRONMENT_MAX];

	memset(body, 'x', sizeof(body));
	memcpy(body, "A=", 2);
	body[sizeof(body) - 1] = '\0';
	assert_int_equal(container_variables_set(v, BODY("B=1")), 0);
	assert_int_equal(container_variables_set(v, body, sizeof(body)), -E2BIG);
	assert_holds(v, BODY("B=1"));
	assert_int_equal(container_variables_set(v, BODY("B=")), 0);
	assert_int_equal(container_variables_set(v, body, sizeof(body)), 0);
	assert_int_equal(v->size, sizeof(body));
	assert_int_equal(container_variables_set(v, BODY("B=1")), -E2BIG);
	assert_int_equal(container_variables_set(v, BODY("B=1\0A=")), -E2BIG);
	assert_int_equal(container_variables_set(v, BODY("A=\0B=1")), 0);
	assert_holds(v, BODY("B=1"));
}

static void test_the_file(void **state)
{
	struct container_variables *v = none(state);
	char folder[] = "/tmp/test_container_environment.XXXXXX", path[128], text[128] = "";
	FILE *file;

	assert_non_null(mkdtemp(folder));
	snprintf(path, sizeof(path), "%s/environment", folder);
	for (int round = 0; round < 2; round++) {
		assert_int_equal(container_variables_set(v, round ? "A=\0B=2" : "A=1\0C=x y", round ? 7 : 10), 0);
		assert_int_equal(container_variables_write(v, folder), 0);
		file = fopen(path, "r");
		assert_non_null(file);
		text[fread(text, 1, sizeof(text) - 1, file)] = '\0';
		fclose(file);
		assert_string_equal(text, round ? "C=x y\nB=2\n" : "A=1\nC=x y\n");
	}
	assert_int_equal(unlink(path), 0);
	assert_int_equal(rmdir(folder), 0);
	assert_int_equal(container_variables_write(v, folder), -ENOENT);
}

/*
 * The list's texts, one after the other. What an entrypoint begins with is never freed, so that only a child makes it.
 */
static const char *joined(const char *const *own, const char *body, size_t size)
{
	static char text[512];
	const char **list = container_environment_make(own, body, size, "/home/app");

	text[0] = '\0';
	assert_non_null(list);
	for (const char **at = list; *at; at++) {
		strcat(text, *at);
		strcat(text, "|");
	}
	return text;
}

#define PATH_DEFAULT "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin|"

static void test_an_entrypoints_environment(void **state)
{
	const char *const nothing[] = { NULL };
	const char *const own[] = { "A=1", "HOME=/own", "A=2", "AB=3", NULL };

	(void)state;
	assert_string_equal(joined(nothing, "", 0), PATH_DEFAULT "HOME=/home/app|");
	assert_string_equal(joined(own, "", 0), "A=2|HOME=/own|AB=3|" PATH_DEFAULT);
	assert_string_equal(joined(own, BODY("AB=4\0PATH=/bin\0N=5")), "A=2|HOME=/own|AB=4|PATH=/bin|N=5|");
}

static int set_up(void **state)
{
	*state = calloc(1, sizeof(struct container_variables));
	return *state ? 0 : -1;
}

static int tear_down(void **state)
{
	free(*state);
	return 0;
}

/* See joined(). */
const char *__lsan_default_suppressions(void);
const char *__lsan_default_suppressions(void)
{
	return "leak:container_environment_make\n";
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_what_is_refused),
		cmocka_unit_test(test_each_name_is_there_once),
		cmocka_unit_test(test_too_much_changes_nothing),
		cmocka_unit_test(test_the_file),
		cmocka_unit_test(test_an_entrypoints_environment),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
