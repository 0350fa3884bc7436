/* API keys over HTTP, and what each role may do. */
#include "tests/unit/http_helper.h"

#define IDLE "{\"properties\":{\"scaleConfiguration\":{\"maxConcurrentSessions\":9,\"readySessionInstances\":0}}}"

static char last_id[API_KEY_ID_SIZE];

/* Makes a key and returns the header that shows it. */
static const char *make_key(const char *body, char header[160])
{
	char token[API_KEY_TOKEN_SIZE];
	const char *at;

	assert_int_equal(request("POST", "/keys", AUTHORIZED, body), 201);
	check_has("Cache-Control: no-store");
	at = strstr(answer, "\"token\":\"");
	assert_non_null(at);
	snprintf(token, sizeof(token), "%s", at + 9);
	snprintf(last_id, sizeof(last_id), "%.16s", token + 7);
	snprintf(header, 160, "Authorization: Bearer %s\r\n", token);
	return header;
}

static void a_key_is_made_shown_listed_used_and_revoked(void **state)
{
	char header[160], path[64];

	(void)state;
	make_key("{\"name\":\"ci\",\"role\":\"Executor\",\"pools\":[\"default\"],\"expiresInSeconds\":3600}", header);
	check_has("\"name\":\"ci\",\"role\":\"executor\",\"pools\":[\"default\"],\"createdBy\":\"administrator\"");
	check_has("\"lastUsedAt\":null");
	snprintf(path, sizeof(path), "/keys/%s", last_id);
	assert_int_equal(request("GET", path, AUTHORIZED, ""), 200);
	check_has_not("token");
	check_has_not("hash");
	assert_int_equal(request("GET", "/keys", AUTHORIZED, ""), 200);
	check_has(last_id);
	check_has_not("token");
	assert_int_equal(request("GET", "/session?identifier=a", header, ""), 404);
	assert_int_equal(request("GET", path, AUTHORIZED, ""), 200);
	check_has_not("\"lastUsedAt\":null");
	assert_int_equal(request("DELETE", path, AUTHORIZED, ""), 204);
	assert_int_equal(request("GET", "/session?identifier=a", header, ""), 401);
	check_has("WWW-Authenticate: Bearer error=\"invalid_token\"");
	check_has("\"code\":\"Unauthorized\"");
	check_has("x-ms-error-code: Unauthorized");
	check_has_not(last_id);
	assert_int_equal(request("DELETE", path, AUTHORIZED, ""), 404);
	assert_int_equal(request("GET", path, AUTHORIZED, ""), 404);
}

static void bad_orders_make_no_key(void **state)
{
	static const char *const bodies[] = {
		"{}",
		"{\"role\":\"owner\"}",
		"{\"role\":7}",
		"{\"role\":\"reader\",\"pools\":[]}",
		"{\"role\":\"reader\",\"pools\":\"a\"}",
		"{\"role\":\"reader\",\"pools\":[\"../x\"]}",
		"{\"role\":\"reader\",\"pools\":[\"aa\\u0000\"]}",
		"{\"role\":\"reader\",\"pools\":[1]}",
		"{\"role\":\"reader\",\"expiresInSeconds\":0}",
		"{\"role\":\"reader\",\"expiresInSeconds\":-5}",
		"{\"role\":\"reader\",\"expiresInSeconds\":1e14}",
		"{\"role\":\"reader\",\"name\":\"a\\u0000b\"}",
		"{\"role\":\"reader\",\"name\":\"a\\nb\"}",
		"{\"role\":\"reader\",\"name\":\"\xc3\xa9\"}",
		"{\"role\":\"reader\",\"name\":\"12345678901234567890123456789012345678901234567890123456789012345\"}",
		"[]",
		"{",
	};

	(void)state;
	for (size_t i = 0; i < sizeof(bodies) / sizeof(bodies[0]); i++) {
		assert_int_equal(request("POST", "/keys", AUTHORIZED, bodies[i]), 400);
		check_has_not("hearth_");
	}
	assert_int_equal(request("GET", "/keys", AUTHORIZED, ""), 200);
	check_has("{\"value\":[]}");
}

/* What a role may, as the status says: 401 and 403 are for who may not; anything else came from behind the check. */
static const struct {
	const char *method, *target, *body;
	enum role role; /* the least on the pool pp */
} calls[] = {
	{ "GET", "/sessionPools/pp/session?identifier=a", "", ROLE_READER },
	{ "HEAD", "/sessionPools/pp/session?identifier=a", "", ROLE_READER },
	{ "GET", "/sessionPools/pp/listSessions", "", ROLE_READER },
	{ "POST", "/subscriptions/s/resourceGroups/g/sessionPools/PP/.management/listSessions", "", ROLE_READER },
	{ "POST", "/sessionPools/pp/.management/getSession?identifier=a", "", ROLE_READER },
	{ "GET", "/sessionPools/pp", "", ROLE_READER },
	{ "POST", "/sessionPools/pp/code/execute?identifier=a", "{}", ROLE_EXECUTOR },
	{ "POST", "/sessionPools/pp/executions?identifier=a", "{}", ROLE_EXECUTOR },
	{ "POST", "/sessionPools/pp/identifier/a/python/execute", "{}", ROLE_EXECUTOR },
	{ "DELETE", "/sessionPools/pp/session?identifier=a", "", ROLE_EXECUTOR },
	{ "POST", "/sessionPools/pp/.management/stopSession?identifier=a", "", ROLE_EXECUTOR },
	{ "POST", "/sessionPools/pp/session/fork?identifier=a&target=b", "", ROLE_EXECUTOR },
	{ "PATCH", "/sessionPools/pp", "{}", ROLE_MANAGER },
	{ "PUT", "/sessionPools/pp", IDLE, ROLE_MANAGER },
	{ "PUT", "/sessionPools/pp/templates/tt", "{}", ROLE_MANAGER },
};

/* Of all pools, or of another one: not for a key of pp, whatever its role. */
static const struct {
	const char *method, *target, *body;
} foreign[] = {
	{ "GET", "/sessionPools/other/session?identifier=a", "" },
	{ "GET", "/session?identifier=a", "" },
	{ "POST", "/code/execute?identifier=a", "{}" },
	{ "GET", "/sessionPools/none", "" },
	{ "PUT", "/sessionPools/new", IDLE },
	{ "DELETE", "/sessionPools/other", "" },
	{ "GET", "/keys", "" },
	{ "GET", "/sessionPools/pp/keys", "" },
	{ "POST", "/keys", "{\"role\":\"manager\"}" },
	{ "DELETE", "/keys/0123456789abcdef", "" },
	{ "DELETE", "/sessionPools/pp/templates/tt", "" },
};

static void a_role_may_what_it_is_for(void **state)
{
	char header[160], body[64];

	(void)state;
	assert_int_equal(request("PUT", "/sessionPools/pp", AUTHORIZED, IDLE), 201);
	assert_int_equal(request("PUT", "/sessionPools/other", AUTHORIZED, IDLE), 201);
	for (enum role role = ROLE_READER; role < N_ROLES; role++) {
		snprintf(body, sizeof(body), "{\"role\":\"%s\",\"pools\":[\"pp\"]}", role_name(role));
		make_key(body, header);
		for (size_t i = 0; i < sizeof(calls) / sizeof(calls[0]); i++) {
			int status = request(calls[i].method, calls[i].target, header, calls[i].body);

			if ((status == 403) != (role < calls[i].role) || status == 401 || status == 0)
				fail_msg("%s %s as %s: %d", calls[i].method, calls[i].target, role_name(role), status);
		}
		for (size_t i = 0; i < sizeof(foreign) / sizeof(foreign[0]); i++) {
			int status = request(foreign[i].method, foreign[i].target, header, foreign[i].body);

			if (status != 403)
				fail_msg("%s %s as %s: %d", foreign[i].method, foreign[i].target, role_name(role),
					 status);
		}
	}
	check_has("WWW-Authenticate: Bearer error=\"insufficient_scope\"");
	check_has("\"code\":\"Forbidden\"");
	/* The list shows what the key may see. */
	assert_int_equal(request("GET", "/sessionPools", header, ""), 200);
	check_has("\"name\":\"pp\"");
	check_has_not("\"name\":\"other\"");
	check_has_not("\"name\":\"default\"");
	assert_int_equal(request("DELETE", "/sessionPools/pp", header, ""), 204);
	assert_int_equal(request("GET", "/sessionPools/pp", header, ""), 404);
	assert_int_equal(request("DELETE", "/sessionPools/other", AUTHORIZED, ""), 204);
}

static void a_manager_of_all_pools_makes_keys_and_others_do_not(void **state)
{
	char manager[160], executor[160];

	(void)state;
	make_key("{\"role\":\"manager\"}", manager);
	assert_int_equal(request("POST", "/keys", manager, "{\"role\":\"reader\"}"), 201);
	check_has("\"createdBy\":\"key:");
	make_key("{\"role\":\"executor\",\"pools\":[\"*\"]}", executor);
	check_has("\"pools\":[\"*\"]");
	assert_int_equal(request("POST", "/keys", executor, "{\"role\":\"reader\"}"), 403);
	assert_int_equal(request("GET", "/keys", executor, ""), 403);
	assert_int_equal(request("GET", "/session?identifier=a", executor, ""), 404);
}

static void the_header_of_a_key_is_taken_as_well(void **state)
{
	char header[160], other[256];

	(void)state;
	make_key("{\"role\":\"reader\"}", header);
	snprintf(other, sizeof(other), "x-ms-apikey: %s", header + strlen("Authorization: Bearer "));
	assert_int_equal(request("GET", "/session?identifier=a", other, ""), 404);
	assert_int_equal(request("GET", "/session?identifier=a", "x-ms-apikey: wrong\r\n", ""), 401);
	/* Who sends both is who the first says. */
	snprintf(other, sizeof(other), "Authorization: Bearer wrong\r\nx-ms-apikey: %s",
		 header + strlen("Authorization: Bearer "));
	assert_int_equal(request("GET", "/session?identifier=a", other, ""), 401);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(bad_orders_make_no_key),
		cmocka_unit_test(a_key_is_made_shown_listed_used_and_revoked),
		cmocka_unit_test(a_role_may_what_it_is_for),
		cmocka_unit_test(a_manager_of_all_pools_makes_keys_and_others_do_not),
		cmocka_unit_test(the_header_of_a_key_is_taken_as_well),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
