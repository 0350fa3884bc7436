#include "api/auth.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* Loads a token file with that text. */
static int load(struct auth *auth, const char *text, struct error *err)
{
	char path[] = "/tmp/test-auth-XXXXXX";
	int fd = mkstemp(path);
	int rc;

	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, strlen(text)), (ssize_t)strlen(text));
	close(fd);
	rc = auth_load(auth, path, err);
	unlink(path);
	return rc;
}

static void the_token_of_the_file_opens_and_no_other(void **state)
{
	struct auth auth;
	struct error err;

	(void)state;
	assert_int_equal(load(&auth, "0123456789abcdef-XYZ\n", &err), 0);
	assert_true(auth_permits(&auth, "Bearer 0123456789abcdef-XYZ"));
	assert_true(auth_permits(&auth, "bearer  0123456789abcdef-XYZ"));
	assert_false(auth_permits(&auth, NULL));
	assert_false(auth_permits(&auth, ""));
	assert_false(auth_permits(&auth, "Bearer"));
	assert_false(auth_permits(&auth, "Bearer "));
	assert_false(auth_permits(&auth, "Bearer0123456789abcdef-XYZ"));
	assert_false(auth_permits(&auth, "Basic 0123456789abcdef-XYZ"));
	assert_false(auth_permits(&auth, "Bearer 0123456789abcdef-XYz"));
	assert_false(auth_permits(&auth, "Bearer 0123456789abcdef-XY"));
	assert_false(auth_permits(&auth, "Bearer 0123456789abcdef-XYZ0"));
	/* The comparison goes round; a repetition must not pass. */
	assert_false(auth_permits(&auth, "Bearer 0123456789abcdef-XYZ0123456789abcdef-XYZ"));
	auth_fini(&auth);
}

static void a_file_that_holds_no_usable_token_is_refused_without_quoting_it(void **state)
{
	static const char *const bad[] = { "",
					   "\n",
					   "short\n",
					   "0123456789abcdef 0123456789\n",
					   "0123456789abcdef\n0123456789abcdef\n",
					   "0123456789abcdef\x01\n" };
	struct auth auth;
	struct error err;

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		assert_true(load(&auth, bad[i], &err) < 0);
		assert_null(strstr(err.text, "0123456789"));
	}
}

static void a_missing_file_tells_how_to_make_one(void **state)
{
	struct auth auth;
	struct error err;

	(void)state;
	assert_true(auth_load(&auth, "/nonexistent/token", &err) < 0);
	assert_non_null(strstr(err.text, "/nonexistent/token"));
	assert_non_null(strstr(err.text, "urandom"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_token_of_the_file_opens_and_no_other),
		cmocka_unit_test(a_file_that_holds_no_usable_token_is_refused_without_quoting_it),
		cmocka_unit_test(a_missing_file_tells_how_to_make_one),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
