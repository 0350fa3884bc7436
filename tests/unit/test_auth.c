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

static bool auth_permits(struct auth *auth, const char *authorization)
{
	struct principal principal;
	const char *why;
	bool is_known = auth_identify(auth, authorization, 1, &principal, &why);

	if (is_known) {
		assert_string_equal(principal.name, "administrator");
		assert_true(principal_may(&principal, ROLE_MANAGER, NULL));
	}
	return is_known;
}

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
	struct auth auth = { 0 };
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

static void roles_include_the_ones_below_on_their_pools_only(void **state)
{
	struct principal p = { .role = ROLE_EXECUTOR };

	(void)state;
	assert_true(pool_list_add(p.pools, "alpha"));
	assert_true(pool_list_add(p.pools, "Beta-2"));
	assert_true(pool_list_add(p.pools, "BETA-2"));
	assert_string_equal(p.pools, "alpha Beta-2");
	assert_true(principal_may(&p, ROLE_READER, "ALPHA"));
	assert_true(principal_may(&p, ROLE_EXECUTOR, "beta-2"));
	assert_false(principal_may(&p, ROLE_MANAGER, "alpha"));
	assert_false(principal_may(&p, ROLE_READER, NULL));
	assert_false(principal_may(&p, ROLE_READER, "alph"));
	assert_false(principal_may(&p, ROLE_READER, "beta"));
	assert_false(principal_may(&p, ROLE_READER, "alpha Beta-2"));
	assert_false(principal_may(&p, ROLE_READER, ""));
	assert_false(principal_may(&p, ROLE_READER, "*"));
	assert_false(pool_list_add(p.pools, "a b"));
	assert_false(pool_list_add(p.pools, ""));
	assert_false(pool_list_add(p.pools, "x"));
	assert_string_equal(p.pools, "alpha Beta-2");
	assert_true(pool_list_add(p.pools, "*"));
	assert_true(principal_may(&p, ROLE_EXECUTOR, NULL));
	assert_true(principal_may(&p, ROLE_READER, "anything"));
}

static void a_list_of_pools_that_is_full_takes_no_more(void **state)
{
	char list[POOL_LIST_SIZE] = "", name[16];
	int n = 0;

	(void)state;
	for (; n < 10000; n++) {
		snprintf(name, sizeof(name), "pool%d", n);
		if (!pool_list_add(list, name))
			break;
	}
	assert_in_range(n, 200, 300);
	assert_false(pool_list_has(list, name));
	assert_true(pool_list_has(list, "pool0"));
}

static void names_for_the_log_are_printable_and_short(void **state)
{
	struct principal p;
	char text[300];

	(void)state;
	memset(text, 'x', sizeof(text) - 1);
	text[sizeof(text) - 1] = '\0';
	principal_set_name(&p, "jwt", text);
	assert_int_equal(strlen(p.name), PRINCIPAL_NAME_SIZE - 1);
	principal_set_name(&p, "jwt", "a b\n\"\xff");
	assert_string_equal(p.name, "jwt:a?b???");
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
		cmocka_unit_test(roles_include_the_ones_below_on_their_pools_only),
		cmocka_unit_test(a_list_of_pools_that_is_full_takes_no_more),
		cmocka_unit_test(names_for_the_log_are_printable_and_short),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
