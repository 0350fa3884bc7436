#include "api/log_json.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static json_t *parse(const char *text)
{
	struct buffer out = { 0 };
	json_error_t error;
	json_t *object;

	log_json_put(&out, 1764101700123, LOG_INFO, "hearthd", text);
	assert_false(out.failed);
	object = json_loadb(out.data, out.size, JSON_REJECT_DUPLICATES, &error);
	if (!object)
		fail_msg("%s: %.*s", error.text, (int)out.size, out.data);
	buffer_fini(&out);
	return object;
}

/* `expected` is the object without time, level and component. */
static void check(const char *text, const char *expected)
{
	json_t *object = parse(text), *wanted = json_loads(expected, 0, NULL);

	assert_non_null(wanted);
	assert_string_equal(json_string_value(json_object_get(object, "time")), "2025-11-25T20:15:00.1230000Z");
	assert_string_equal(json_string_value(json_object_get(object, "level")), "info");
	assert_string_equal(json_string_value(json_object_get(object, "component")), "hearthd");
	json_object_del(object, "time");
	json_object_del(object, "level");
	json_object_del(object, "component");
	if (!json_equal(object, wanted))
		fail_msg("%s became %s", text, json_dumps(object, 0));
	json_decref(object);
	json_decref(wanted);
}

static void fields_come_before_the_sentence(void **state)
{
	(void)state;
	check("stopped", "{\"message\":\"stopped\"}");
	check("session=1a2b vm=- pool=p state=booting->ready took_ms=0.2 reason=a microVM was ready",
	      "{\"session\":\"1a2b\",\"vm\":\"-\",\"pool\":\"p\",\"state\":\"ready\",\"from\":\"booting\","
	      "\"took_ms\":0.2,\"reason\":\"a microVM was ready\"}");
	check("template=t state=failed retry_s=5: no kernel",
	      "{\"template\":\"t\",\"state\":\"failed\",\"retry_s\":5,\"message\":\"no kernel\"}");
	check("vm=12 lost: it ended", "{\"vm\":\"12\",\"message\":\"lost: it ended\"}");
	check("session=1 state=busy is left", "{\"session\":\"1\",\"state\":\"busy\",\"message\":\"is left\"}");
	check("pool=p max=3 ready=x", "{\"pool\":\"p\",\"max\":3,\"ready\":\"x\"}");
	check("", "{}");
}

static void nobody_makes_up_fields(void **state)
{
	(void)state;
	check("level=debug time=1", "{\"message\":\"level=debug time=1\"}");
	check("vm=1 lost: session=2 pool=q", "{\"vm\":\"1\",\"message\":\"lost: session=2 pool=q\"}");
	check("session=1 reason=x pool=q reason=y", "{\"session\":\"1\",\"reason\":\"x pool=q reason=y\"}");
	check("pool=a pool=b", "{\"pool\":\"a\",\"message\":\"pool=b\"}");
	check("identifier=\"a\\\" pool=q\\\\\" pool=p", "{\"identifier\":\"a\\\" pool=q\\\\\",\"pool\":\"p\"}");
	check("identifier=\"cut", "{\"identifier\":\"cut\"}");
	check("took_ms=1.2.3 ", "{\"took_ms\":\"1.2.3\"}");
	check("took_ms=007", "{\"took_ms\":\"007\"}");
	check("took_ms=nan", "{\"took_ms\":\"nan\"}");
}

/* What was quoted comes back as it was, whatever it is. */
static void quoted_words_come_back(void **state)
{
	static const char *const words[] = { "a", "a b", "a=b", "\"", "\\", "a:", "", "x\" pool=q y=\"", "-", "a\\\"" };

	(void)state;
	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
		char quoted[64], text[128];
		json_t *object;

		snprintf(text, sizeof(text), "identifier=%s pool=p tail", log_quote(quoted, sizeof(quoted), words[i]));
		object = parse(text);
		assert_string_equal(json_string_value(json_object_get(object, "identifier")), words[i]);
		assert_string_equal(json_string_value(json_object_get(object, "pool")), "p");
		assert_string_equal(json_string_value(json_object_get(object, "message")), "tail");
		json_decref(object);
	}
}

static void a_quoted_word_is_cut_to_fit(void **state)
{
	char quoted[8];

	(void)state;
	assert_string_equal(log_quote(quoted, sizeof(quoted), "\"\"\"\"\"\""), "\"\\\"\\\"\"");
	assert_true(strlen(log_quote(quoted, sizeof(quoted), "a b c d e f")) < sizeof(quoted));
}

/* Whatever bytes a guest has, each line is JSON. */
static void any_bytes_become_json(void **state)
{
	static const char alphabet[] = "=\" \\:ab\xff\xc3\xa9.0-";

	(void)state;
	srand(1);
	check("vm=1 \xff\xc3", "{\"vm\":\"1\",\"message\":\"\xef\xbf\xbd\xef\xbf\xbd\"}");
	for (int i = 0; i < 20000; i++) {
		static const char *const begins[] = {
			"", "session=", "took_ms=", "identifier=\"", "state=", "reason="
		};
		char text[64];
		size_t n = (size_t)snprintf(text, sizeof(text), "%s", begins[rand() % 6]);

		for (int k = rand() % 20; k > 0; k--)
			text[n++] = alphabet[(size_t)rand() % (sizeof(alphabet) - 1)];
		text[n] = '\0';
		json_decref(parse(text));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(fields_come_before_the_sentence), cmocka_unit_test(nobody_makes_up_fields),
		cmocka_unit_test(quoted_words_come_back),          cmocka_unit_test(a_quoted_word_is_cut_to_fit),
		cmocka_unit_test(any_bytes_become_json),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
