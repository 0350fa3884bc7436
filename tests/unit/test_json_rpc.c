/* Messages of JSON-RPC, good and hostile, and the frames of answers. */
#include "api/json_rpc.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

static struct json_rpc_message message;
static struct error err;

/* The document must live as long as `message`. */
static int read_text(const char *text, json_t **json)
{
	*json = json_loads(text, JSON_DECODE_ANY | JSON_ALLOW_NUL, NULL);
	assert_non_null(*json);
	return json_rpc_read(*json, &message, &err);
}

static void a_request_a_notification_and_a_response_are_told_apart(void **state)
{
	static const struct {
		const char *text;
		enum json_rpc_kind kind;
	} messages[] = {
		{ "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"ping\"}", JSON_RPC_REQUEST },
		{ "{\"jsonrpc\":\"2.0\",\"id\":\"a\",\"method\":\"ping\",\"params\":{}}", JSON_RPC_REQUEST },
		{ "{\"jsonrpc\":\"2.0\",\"id\":1.5,\"method\":\"ping\",\"params\":null}", JSON_RPC_REQUEST },
		{ "{\"jsonrpc\":\"2.0\",\"method\":\"notifications/initialized\"}", JSON_RPC_NOTIFICATION },
		{ "{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":{}}", JSON_RPC_RESPONSE },
		{ "{\"jsonrpc\":\"2.0\",\"id\":1,\"error\":{\"code\":1}}", JSON_RPC_RESPONSE },
	};
	json_t *json;

	(void)state;
	for (size_t i = 0; i < sizeof(messages) / sizeof(messages[0]); i++) {
		assert_int_equal(read_text(messages[i].text, &json), 0);
		assert_int_equal(message.kind, messages[i].kind);
		json_decref(json);
	}
}

static void what_is_no_message_is_refused(void **state)
{
	static const char *const texts[] = {
		"1",
		"null",
		"[]",
		"\"ping\"",
		"{}",
		"{\"id\":1,\"method\":\"ping\"}",
		"{\"jsonrpc\":2.0,\"id\":1,\"method\":\"ping\"}",
		"{\"jsonrpc\":\"1.0\",\"id\":1,\"method\":\"ping\"}",
		"{\"jsonrpc\":\"2.0\\u0000\",\"id\":1,\"method\":\"ping\"}",
		"{\"jsonrpc\":\"2.0\",\"id\":1}",
		"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":7}",
		"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"ping\\u0000\"}",
		"{\"jsonrpc\":\"2.0\",\"id\":null,\"method\":\"ping\"}",
		"{\"jsonrpc\":\"2.0\",\"id\":{},\"method\":\"ping\"}",
		"{\"jsonrpc\":\"2.0\",\"id\":[1],\"method\":\"ping\"}",
		"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"ping\",\"params\":[1]}",
		"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"ping\",\"params\":\"x\"}",
	};
	json_t *json;

	(void)state;
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		if (read_text(texts[i], &json) == 0)
			fail_msg("%s was taken", texts[i]);
		assert_true(strlen(err.text) > 0);
		json_decref(json);
	}
}

static void check_answer(const struct buffer *out, const char *expected)
{
	assert_int_equal(out->size, strlen(expected));
	assert_memory_equal(out->data, expected, out->size);
}

static void answers_repeat_the_id(void **state)
{
	static const char *const ids[] = { "7", "\"a\\\"b\"", "9007199254740993", "-1" };
	struct buffer result = { .data = (char[]) { "{}" }, .size = 2 };
	char expected[128];

	(void)state;
	for (size_t i = 0; i < sizeof(ids) / sizeof(ids[0]); i++) {
		json_t *id = json_loads(ids[i], JSON_DECODE_ANY, NULL);
		struct buffer out = { 0 };

		json_rpc_put_result(&out, id, &result);
		snprintf(expected, sizeof(expected), "{\"jsonrpc\":\"2.0\",\"id\":%s,\"result\":{}}", ids[i]);
		check_answer(&out, expected);
		buffer_fini(&out);
		json_decref(id);
	}
}

static void errors_are_json_whatever_they_quote(void **state)
{
	struct buffer out = { 0 };

	(void)state;
	json_rpc_put_error(&out, NULL, JSON_RPC_PARSE_ERROR, "\"\xff\n", "[1]");
	check_answer(&out,
		     "{\"jsonrpc\":\"2.0\",\"id\":null,\"error\":{\"code\":-32700,\"message\":\"\\\"\xef\xbf\xbd\\n\""
		     ",\"data\":[1]}}");
	buffer_fini(&out);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_request_a_notification_and_a_response_are_told_apart),
		cmocka_unit_test(what_is_no_message_is_refused),
		cmocka_unit_test(answers_repeat_the_id),
		cmocka_unit_test(errors_are_json_whatever_they_quote),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
