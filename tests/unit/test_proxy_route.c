/* Which requests to a pool of containers are the container's. */
#include "api/proxy_route.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static bool takes(enum pool_container_type type, bool names_pool, bool has_identifier, const char *path)
{
	static char text[128];
	char *segments[8], *rest;
	size_t n = 0;

	strcpy(text, path);
	for (char *s = strtok_r(text, "/", &rest); s; s = strtok_r(NULL, "/", &rest))
		segments[n++] = s;
	return proxy_takes(type, names_pool, has_identifier, segments, n);
}

static void with_an_identifier_all_but_the_management_is_the_containers(void **state)
{
	static const char *const paths[] = {
		"",
		"health",
		"executions",
		"files/a",
		"session",
		"mcp",
		"usage",
		"providers/x",
		"x/.management",
		".managements",
		"identifier/x/files",
	};

	(void)state;
	for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]); i++) {
		assert_true(takes(POOL_CUSTOM_CONTAINER, true, true, paths[i]));
		assert_true(takes(POOL_CUSTOM_CONTAINER, false, true, paths[i]));
		for (int type = 0; type < POOL_CUSTOM_CONTAINER; type++)
			assert_false(takes((enum pool_container_type)type, true, true, paths[i]));
	}
	assert_false(takes(POOL_CUSTOM_CONTAINER, true, true, ".management/getSession"));
	assert_false(takes(POOL_CUSTOM_CONTAINER, true, true, ".MANAGEMENT"));
}

static void without_one_the_pools_own_routes_are_hearths(void **state)
{
	(void)state;
	assert_false(takes(POOL_CUSTOM_CONTAINER, true, false, ""));
	assert_false(takes(POOL_CUSTOM_CONTAINER, true, false, "usage"));
	assert_false(takes(POOL_CUSTOM_CONTAINER, true, false, "providers/Microsoft.Authorization/roleAssignments/x"));
	assert_false(takes(POOL_CUSTOM_CONTAINER, true, false, ".management/listSessions"));
	assert_false(takes(POOL_CUSTOM_CONTAINER, false, false, "healthz"));
	/* And is told that it needs one. */
	assert_true(takes(POOL_CUSTOM_CONTAINER, true, false, "executions"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(with_an_identifier_all_but_the_management_is_the_containers),
		cmocka_unit_test(without_one_the_pools_own_routes_are_hearths),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
