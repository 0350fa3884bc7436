/* Users of container images: names, numbers, groups, and files that nobody can trust. */
#include "guest-agent/container_user.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

static const char passwd[] = "root:x:0:0:root:/root:/bin/sh\n"
			     "app:x:1000:1001:An app:/home/app:/bin/sh\n"
			     "1234:x:7:8::/seven:\n"
			     "app:x:0:0:a second one:/root:\n"
			     "last:x:55:56::/last:/bin/sh";
static const char group[] = "root:x:0:\n"
			    "wheel:x:10:root,app\n"
			    "app:x:1001:\n"
			    "logs:x:12:other,app\n"
			    "loggers:x:13:apples,xapp\n";

/* Copies of the exact size on the heap, where the address sanitizer sees a byte too many. */
static int resolve_with(const char *user, const char *p, size_t p_size, const char *g, size_t g_size,
			struct container_user *result)
{
	struct error err = { 0 };
	char *p_copy = malloc(p_size ? p_size : 1), *g_copy = malloc(g_size ? g_size : 1);
	struct container_user_files files = { p_copy, g_copy, p_size, g_size };
	int code;

	memcpy(p_copy, p, p_size);
	memcpy(g_copy, g, g_size);
	code = container_user_resolve(user, &files, result, &err);
	assert_int_equal(code < 0, err.code != 0);
	free(p_copy);
	free(g_copy);
	return code;
}

static int resolve(const char *user, struct container_user *result)
{
	return resolve_with(user, passwd, sizeof(passwd) - 1, group, sizeof(group) - 1, result);
}

static void test_names_and_numbers(void **state)
{
	struct container_user u;

	(void)state;
	assert_int_equal(resolve("", &u), 0);
	assert_true(u.uid == 0 && u.gid == 0);
	assert_string_equal(u.home, "/root");
	assert_int_equal(resolve("app", &u), 0);
	assert_true(u.uid == 1000 && u.gid == 1001);
	assert_string_equal(u.home, "/home/app");
	assert_int_equal(resolve("1000", &u), 0);
	assert_true(u.uid == 1000 && u.gid == 1001 && u.n_groups == 2);
	assert_int_equal(resolve("4321", &u), 0);
	assert_true(u.uid == 4321 && u.gid == 0 && u.n_groups == 0);
	assert_string_equal(u.home, "/");
	/* A name of digits is a name. */
	assert_int_equal(resolve("1234", &u), 0);
	assert_true(u.uid == 7 && u.gid == 8);
	/* The last line without an end. */
	assert_int_equal(resolve("last", &u), 0);
	assert_true(u.uid == 55 && u.gid == 56);
	assert_true(resolve("nobody", &u) < 0);
	assert_true(resolve("ap", &u) < 0);
	assert_true(resolve("4294967295", &u) < 0);
	assert_true(resolve("4294967296", &u) < 0);
	assert_true(resolve("-1", &u) < 0);
	assert_true(resolve("18446744073709551616", &u) < 0);
}

static void test_groups(void **state)
{
	struct container_user u;

	(void)state;
	assert_int_equal(resolve("app", &u), 0);
	assert_int_equal(u.n_groups, 2);
	assert_true(u.groups[0] == 10 && u.groups[1] == 12);
	assert_int_equal(resolve("app:logs", &u), 0);
	assert_true(u.uid == 1000 && u.gid == 12 && u.n_groups == 0);
	assert_int_equal(resolve("app:77", &u), 0);
	assert_int_equal(u.gid, 77);
	assert_int_equal(resolve("app:", &u), 0);
	assert_true(u.gid == 1001 && u.n_groups == 2);
	assert_int_equal(resolve(":logs", &u), 0);
	assert_true(u.uid == 0 && u.gid == 12);
	assert_true(resolve("app:nogroup", &u) < 0);
	assert_true(resolve("app:logs:more", &u) < 0);
}

static void test_no_files(void **state)
{
	struct container_user_files none = { 0 };
	struct container_user u;
	struct error err = { 0 };

	(void)state;
	assert_int_equal(container_user_resolve("", &none, &u, &err), 0);
	assert_true(u.uid == 0 && u.gid == 0);
	assert_int_equal(container_user_resolve("5:6", &none, &u, &err), 0);
	assert_true(u.uid == 5 && u.gid == 6);
	assert_true(container_user_resolve("app", &none, &u, &err) < 0);
}

static void test_hostile_lines(void **state)
{
	static const char after_bad[] = "app:x:-1:0::/:\napp:x:3:4::/h:\n";
	static const char relative[] = "app:x:3:4::relative:";
	static const struct {
		const char *line;
		size_t size;
	} lines[] = {
#define LINE(text) { text, sizeof(text) - 1 }
		LINE("app"),
		LINE("app:x:1"),
		LINE("app:x:-1:0::/:"),
		LINE("app:x:4294967295:0::/:"),
		LINE("app:x:1 :0::/:"),
		LINE("app:x::0::/:"),
		LINE(":x:0:0::/:"),
		LINE("\0app:x:0:0::/:"),
		LINE("app\0:x:0:0::/:"),
		LINE("app:x:0:0"),
		LINE("::::::\n\n:\n"),
	};
	struct container_user u;

	(void)state;
	for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++)
		assert_true(resolve_with("app", lines[i].line, lines[i].size, "", 0, &u) < 0);
	/* One such line hides none that comes after it. */
	assert_int_equal(resolve_with("app", after_bad, sizeof(after_bad) - 1, "", 0, &u), 0);
	assert_true(u.uid == 3 && u.gid == 4);
	/* A home that no variable can hold is none. */
	assert_int_equal(resolve_with("app", relative, sizeof(relative) - 1, "", 0, &u), 0);
	assert_string_equal(u.home, "/");
}

static void test_large_files(void **state)
{
	size_t size = CONTAINER_USER_FILE_MAX + 4096;
	char *big = malloc(size);
	struct container_user u;

	(void)state;
	memset(big, 'a', size);
	assert_true(resolve_with("app", big, size, big, size, &u) < 0);
	memset(big, '\n', size);
	memcpy(big + CONTAINER_USER_FILE_MAX - 8, "app:x:1:2::/:\n", 14);
	assert_true(resolve_with("app", big, size, "", 0, &u) < 0);
	for (size_t i = 0; i + 8 <= size; i += 8)
		memcpy(big + i, "g:x:5:a\n", 8);
	assert_int_equal(resolve_with("a", "a:x:1:2::/:", 11, big, size, &u), 0);
	assert_int_equal(u.n_groups, CONTAINER_GROUPS_MAX);
	free(big);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_names_and_numbers), cmocka_unit_test(test_groups),
		cmocka_unit_test(test_no_files),          cmocka_unit_test(test_hostile_lines),
		cmocka_unit_test(test_large_files),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
