/* The MCP endpoint over HTTP without a microVM: the protocol, its keys, and what no tool may be asked. */
#include "tests/unit/http_helper.h"

#define IDLE   "\"scaleConfiguration\":{\"maxConcurrentSessions\":9,\"readySessionInstances\":0}"
#define PING   "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"ping\"}"
#define PONG   "{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":{}}"
#define NOTICE "{\"jsonrpc\":\"2.0\",\"method\":\"notifications/initialized\"}"

static int post(const char *headers, const char *body)
{
	char all[512];

	snprintf(all, sizeof(all), "%s%s", AUTHORIZED, headers);
	return request("POST", "/mcp", all, body);
}

static int call(const char *tool, const char *arguments)
{
	char body[4096];

	snprintf(body, sizeof(body),
		 "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"tools/"
		 "call\",\"params\":{\"name\":\"%s\",\"arguments\":%s}}",
		 tool, arguments);
	return post("", body);
}

/* ---- the protocol ------------------------------------------------------------------------------------------------ */

static void a_handshake_agrees_on_a_version(void **state)
{
	static const char *const versions[][2] = {
		{ "2024-11-05", "2024-11-05" }, { "2025-03-26", "2025-03-26" }, { "2025-06-18", "2025-06-18" },
		{ "2025-11-25", "2025-11-25" }, { "2099-01-01", "2025-11-25" }, { "x", "2025-11-25" },
	};
	char body[256], expected[64];

	(void)state;
	for (size_t i = 0; i < sizeof(versions) / sizeof(versions[0]); i++) {
		snprintf(body, sizeof(body),
			 "{\"jsonrpc\":\"2.0\",\"id\":0,\"method\":\"initialize\",\"params\":{\"protocolVersion\":\"%"
			 "s\","
			 "\"capabilities\":{},\"clientInfo\":{\"name\":\"t\",\"version\":\"1\"}}}",
			 versions[i][0]);
		assert_int_equal(post("MCP-Protocol-Version: 2099-01-01\r\n", body), 200);
		snprintf(expected, sizeof(expected), "\"protocolVersion\":\"%s\"", versions[i][1]);
		check_has(expected);
		check_has("Mcp-Session-Id: ");
	}
	/* As in Azure's documentation. */
	assert_int_equal(post("", "{\"jsonrpc\":\"2.0\",\"id\":\"1\",\"method\":\"initialize\"}"), 200);
	check_has("{\"jsonrpc\":\"2.0\",\"id\":\"1\",\"result\":{\"protocolVersion\":\"2025-03-26\"");
}

static void each_kind_of_message_has_its_answer(void **state)
{
	(void)state;
	assert_int_equal(post("Mcp-Session-Id: a\r\nMCP-Protocol-Version: 2025-06-18\r\n", PING), 200);
	check_has(PONG);
	assert_int_equal(post("", NOTICE), 202);
	check_has("Content-Length: 0\r\n");
	assert_int_equal(post("", "{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":{}}"), 202);
	assert_int_equal(post("", "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"resources/list\"}"), 200);
	check_has("\"code\":-32601");
	assert_int_equal(request("GET", "/mcp", AUTHORIZED, ""), 405);
	check_has("Allow: POST, DELETE");
	assert_int_equal(request("DELETE", "/mcp", AUTHORIZED "Mcp-Session-Id: a\r\n", ""), 204);
	assert_int_equal(request("DELETE", "/mcp", AUTHORIZED, ""), 400);
	assert_int_equal(
		request("POST", "/subscriptions/s/resourceGroups/g/sessionPools/default/mcp", AUTHORIZED, PING), 200);
	check_has(PONG);
	assert_int_equal(request("POST", "/sessionPools/none/mcp", AUTHORIZED, PING), 404);
}

static void an_unknown_version_is_refused_with_those_that_are_known(void **state)
{
	(void)state;
	assert_int_equal(post("MCP-Protocol-Version: 2026-07-28\r\n", PING), 400);
	check_has("\"code\":-32022");
	check_has("\"data\":{\"supported\":[\"2025-11-25\",\"2025-06-18\",\"2025-03-26\",\"2024-11-05\"]}");
}

static void batches_are_for_the_versions_that_have_them(void **state)
{
	static char many[8192] = "[";

	(void)state;
	assert_int_equal(post("", "[" PING "," NOTICE ",{}," PING "]"), 200);
	check_has("[" PONG ",{\"jsonrpc\":\"2.0\",\"id\":null,\"error\":{\"code\":-32600");
	check_has("," PONG "]");
	assert_int_equal(post("MCP-Protocol-Version: 2025-03-26\r\n", "[" NOTICE "]"), 202);
	assert_int_equal(post("MCP-Protocol-Version: 2025-06-18\r\n", "[" PING "]"), 400);
	check_has("\"code\":-32600");
	assert_int_equal(post("", "[]"), 400);
	for (int i = 0; i < 51; i++) {
		strcat(many, i ? "," : "");
		strcat(many, NOTICE);
	}
	strcat(many, "]");
	assert_int_equal(post("", many), 400);
	check_has("at most 50");
}

static void hostile_bodies_are_refused(void **state)
{
	static const char *const bodies[] = {
		"",
		"{",
		"nonsense",
		"1",
		"\"x\"",
		"{}",
		"[[]]]",
		"{\"jsonrpc\":\"2.0\",\"id\":null,\"method\":\"ping\"}",
		"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":{}}",
		"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"tools/call\",\"params\":[]}",
	};
	static char deep[40000];

	(void)state;
	for (size_t i = 0; i < sizeof(bodies) / sizeof(bodies[0]); i++) {
		if (post("", bodies[i]) != 400)
			fail_msg("%s: %s", bodies[i], answer);
		check_has("{\"jsonrpc\":\"2.0\",\"id\":");
	}
	memset(deep, '[', sizeof(deep) - 1);
	assert_int_equal(post("", deep), 400);
	check_has("\"code\":-32700");
	assert_int_equal(post("Mcp-Session-Id: \xc3\xa9\r\n", PING), 400);
}

static void pages_of_elsewhere_are_refused(void **state)
{
	static const char *const good[] = {
		"http://localhost:6274",
		"http://127.0.0.1",
		"https://[::1]:1",
		"https://tools.example.com",
	};
	static const char *const bad[] = {
		"http://evil.example",
		"http://localhost.evil.example",
		"http://127.0.0.1.evil.example",
		"null",
		"https://tools.example.com.evil.example",
		"http://here:1",
	};
	char header[128];

	(void)state;
	service.mcp_origins = "https://other.example https://tools.example.com";
	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		snprintf(header, sizeof(header), "Origin: %s\r\n", good[i]);
		assert_int_equal(post(header, PING), 200);
	}
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		snprintf(header, sizeof(header), "Origin: %s\r\n", bad[i]);
		assert_int_equal(post(header, PING), 403);
	}
	service.mcp_origins = NULL;
}

/* ---- tools ------------------------------------------------------------------------------------------------------- */

static void tools_are_listed_by_the_pools_kind(void **state)
{
	static const char list[] = "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"tools/list\"}";

	(void)state;
	assert_int_equal(post("", list), 200);
	check_has("\"name\":\"run_python\"");
	check_has("\"name\":\"runPythonCodeInRemoteEnvironment\"");
	check_has("\"required\":[\"environmentId\",\"pythonCode\"]");
	assert_int_equal(request("PUT", "/sessionPools/node", AUTHORIZED,
				 "{\"properties\":{\"containerType\":\"NodeLTS\"," IDLE
				 ",\"mcpServerSettings\":{\"isMcpServerEnabled\":true}}}"),
			 201);
	assert_int_equal(request("POST", "/sessionPools/node/mcp", AUTHORIZED, list), 200);
	check_has("\"name\":\"run_node\"");
	check_has_not("RemoteEnvironment");
	assert_int_equal(request("PUT", "/sessionPools/shell", AUTHORIZED,
				 "{\"properties\":{\"containerType\":\"Shell\"," IDLE
				 ",\"mcpServerSettings\":{\"isMcpServerEnabled\":true}}}"),
			 201);
	assert_int_equal(request("POST", "/sessionPools/shell/mcp", AUTHORIZED, list), 200);
	check_has("\"name\":\"run_shell\"");
	check_has("\"name\":\"launchShell\"");
	check_has("\"name\":\"runShellCommandInRemoteEnvironment\"");
	check_has("\"name\":\"list_files\"");
	check_has_not("run_python");
	check_has_not("PythonCode");
}

static void bad_calls_are_refused_in_words(void **state)
{
	static const char *const calls[][2] = {
		{ "run_python", "{}" },
		{ "run_python", "{\"code\":1}" },
		{ "run_python", "{\"code\":\"1\",\"environmentId\":7}" },
		{ "run_python", "{\"code\":\"1\",\"environmentId\":\"\"}" },
		{ "run_python", "{\"code\":\"1\",\"environmentId\":\"a\\u0000b\"}" },
		{ "run_python", "{\"code\":\"1\",\"timeoutInSeconds\":\"soon\"}" },
		{ "upload_file", "{\"path\":\"a\"}" },
		{ "upload_file", "{\"content\":\"a\"}" },
		{ "upload_file", "{\"path\":\"../a\",\"content\":\"a\"}" },
		{ "upload_file", "{\"path\":\"a\\u0000\",\"content\":\"a\"}" },
		{ "upload_file", "{\"path\":\"a\",\"contentBase64\":7}" },
		{ "download_file", "{}" },
		{ "download_file", "{\"path\":\"..\"}" },
		{ "download_file", "{\"path\":\"a\",\"encoding\":1}" },
		{ "list_files", "{\"path\":\"a/../..\"}" },
		{ "list_files", "{\"recursive\":\"yes\"}" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(calls) / sizeof(calls[0]); i++) {
		assert_int_equal(call(calls[i][0], calls[i][1]), 200);
		check_has("\"isError\":true");
		check_has_not("host could not");
	}
	assert_int_equal(call("rm", "{}"), 200);
	check_has("\"code\":-32602");
	assert_int_equal(call("run_python", "[]"), 200);
	check_has("\"code\":-32602");
	/* What is well is tried, and fails for want of a microVM. */
	assert_int_equal(call("run_python", "{\"code\":\"1\"}"), 200);
	check_has("\"isError\":true");
	assert_int_equal(call("upload_file", "{\"path\":\"a\",\"content\":\"a\"}"), 200);
	check_has("\"isError\":true");
}

static void an_environment_is_known_from_its_launch_on(void **state)
{
	char arguments[128], id[48];
	const char *at;

	(void)state;
	assert_int_equal(call("launchPythonEnvironment", "{}"), 200);
	at = strstr(answer, "{\"environmentId\":\"");
	assert_non_null(at);
	snprintf(id, sizeof(id), "%.40s", at + 18);
	snprintf(arguments, sizeof(arguments), "{\"environmentId\":\"%s\",\"pythonCode\":\"1\"}", id);
	assert_int_equal(call("runPythonCodeInRemoteEnvironment", arguments), 200);
	check_has("\"isError\":true"); /* no microVM */
	assert_int_equal(call("runPythonCodeInRemoteEnvironment", arguments), 200);
	check_has("\"error\":{\"code\":-32602,\"message\":\"The environment '");
	check_has("was not found");
}

/* ---- keys -------------------------------------------------------------------------------------------------------- */

/* The header with the key that a call gives. */
static void read_key(const char *path, char header[128])
{
	const char *at;

	assert_int_equal(request("POST", path, AUTHORIZED, ""), 200);
	check_has("Cache-Control: no-store");
	at = strstr(answer, "\"apiKey\":\"hearth_mcp_");
	assert_non_null(at);
	snprintf(header, 128, "x-ms-apikey: %.75s\r\n", at + 10);
}

static void a_pools_key_opens_its_mcp_server_alone(void **state)
{
	char first[128], again[128], second[128], bearer[160];

	(void)state;
	assert_int_equal(request("PUT", "/sessionPools/pp", AUTHORIZED, "{\"properties\":{" IDLE "}}"), 201);
	check_has("\"mcpServerSettings\":null");
	assert_int_equal(request("POST", "/sessionPools/pp/fetchMcpServerCredentials", AUTHORIZED, ""), 400);
	check_has("Session pool 'pp' does not have MCP Server enabled.");
	assert_int_equal(request("POST", "/sessionPools/pp/mcp", AUTHORIZED, PING), 400);
	check_has("SessionMCPServerNotEnabled");
	assert_int_equal(request("PATCH", "/sessionPools/pp", AUTHORIZED,
				 "{\"properties\":{\"mcpServerSettings\":{\"isMcpServerEnabled\":true}}}"),
			 200);
	check_has("\"mcpServerEndpoint\":\"http://here:1/");
	check_has("/sessionPools/pp/mcp\"");

	read_key("/sessionPools/pp/fetchMCPServerCredentials", first);
	read_key("/sessionPools/PP/fetchmcpservercredentials", again);
	assert_string_equal(first, again);
	assert_int_equal(request("POST", "/sessionPools/pp/mcp", first, PING), 200);
	snprintf(bearer, sizeof(bearer), "Authorization: Bearer %s", first + strlen("x-ms-apikey: "));
	assert_int_equal(request("POST", "/sessionPools/pp/mcp", bearer, PING), 200);
	assert_int_equal(request("POST", "/mcp", first, PING), 401);
	assert_int_equal(request("POST", "/sessionPools/pp/executions?identifier=a", first, "{}"), 401);
	assert_int_equal(request("POST", "/sessionPools/pp/fetchMcpServerCredentials", first, ""), 401);

	read_key("/sessionPools/pp/rotateMcpServerCredentials", second);
	assert_string_not_equal(first, second);
	assert_int_equal(request("POST", "/sessionPools/pp/mcp", first, PING), 401);
	assert_int_equal(request("POST", "/sessionPools/pp/mcp", second, PING), 200);
	/* It is made of the administrator's token, too. */
	service.auth.token[0] ^= 1;
	assert_int_equal(request("POST", "/sessionPools/pp/mcp", second, PING), 401);
	service.auth.token[0] ^= 1;
}

static void a_key_ends_with_its_setting_and_with_its_pool(void **state)
{
	static const char disabled[] = "{\"properties\":{\"mcpServerSettings\":{\"isMcpServerApiKeyDisabled\":true}}}";
	static const char enabled[] = "{\"properties\":{" IDLE
				      ",\"mcpServerSettings\":{\"isMcpServerEnabled\":\"no\"}}}";
	static const char made[] = "{\"properties\":{" IDLE ",\"mcpServerSettings\":{\"isMcpServerEnabled\":true}}}";
	char header[128], other[128];

	(void)state;
	assert_int_equal(request("PUT", "/sessionPools/qq", AUTHORIZED, enabled), 400);
	assert_int_equal(request("PUT", "/sessionPools/qq", AUTHORIZED, made), 201);
	read_key("/sessionPools/qq/fetchMcpServerCredentials", header);
	assert_int_equal(request("PATCH", "/sessionPools/qq", AUTHORIZED, disabled), 200);
	assert_int_equal(request("POST", "/sessionPools/qq/mcp", header, PING), 401);
	assert_int_equal(request("POST", "/sessionPools/qq/mcp", AUTHORIZED, PING), 200);
	assert_int_equal(request("DELETE", "/sessionPools/qq", AUTHORIZED, ""), 204);
	assert_int_equal(request("PUT", "/sessionPools/qq", AUTHORIZED, made), 201);
	assert_int_equal(request("POST", "/sessionPools/qq/mcp", header, PING), 401);
	read_key("/sessionPools/qq/fetchMcpServerCredentials", other);
	assert_string_not_equal(header, other);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_handshake_agrees_on_a_version),
		cmocka_unit_test(each_kind_of_message_has_its_answer),
		cmocka_unit_test(an_unknown_version_is_refused_with_those_that_are_known),
		cmocka_unit_test(batches_are_for_the_versions_that_have_them),
		cmocka_unit_test(hostile_bodies_are_refused),
		cmocka_unit_test(pages_of_elsewhere_are_refused),
		cmocka_unit_test(tools_are_listed_by_the_pools_kind),
		cmocka_unit_test(bad_calls_are_refused_in_words),
		cmocka_unit_test(an_environment_is_known_from_its_launch_on),
		cmocka_unit_test(a_pools_key_opens_its_mcp_server_alone),
		cmocka_unit_test(a_key_ends_with_its_setting_and_with_its_pool),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
