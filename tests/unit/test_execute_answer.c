#include "api/execute_answer.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <jansson.h>
#include <string.h>

static struct execute_answer answer;

static void output(enum agent_frame_type stream, const char *text)
{
	execute_answer_output(&answer, stream, (const uint8_t *)text, strlen(text));
}

static struct mime_bundle bundle_of(const char *type, const char *data)
{
	struct mime_bundle bundle = { .n_entries = 1 };

	strcpy(bundle.entries[0].type, type);
	bundle.entries[0].data = (const uint8_t *)data;
	bundle.entries[0].size = strlen(data);
	return bundle;
}

static void add(struct mime_bundle *bundle, const char *type, const char *data)
{
	struct mime_bundle more = bundle_of(type, data);

	bundle->entries[bundle->n_entries++] = more.entries[0];
}

static void show(const struct mime_bundle *bundle, bool is_result)
{
	assert_true(execute_answer_display(&answer, bundle, is_result, NULL));
}

/* The answer's text; the caller frees it. Resets the answer. */
static char *finish(struct execution_report report)
{
	struct buffer json = { 0 };

	if (!report.sentence)
		report.sentence = "";
	execute_answer_finish(&answer, &report);
	execute_answer_put(&answer, &report, &json);
	buffer_put(&json, "", 1);
	assert_false(json.failed);
	execute_answer_fini(&answer);
	answer = (struct execute_answer) { .output_limit = 1 << 20 };
	return json.data;
}

static void check(struct execution_report report, const char *expected)
{
	char *text = finish(report);

	assert_string_equal(text, expected);
	free(text);
}

static const struct execution_report ok = { .end = EXECUTION_RAN, .outcome = AGENT_OK, .ran_us = 35999 };

static void the_legacy_answer_has_every_member(void **state)
{
	(void)state;
	output(AGENT_STDOUT, "Hello\n");
	check(ok, "{\"properties\":{\"status\":\"Success\",\"stdout\":\"Hello\\n\",\"stderr\":\"\",\"result\":\"\","
		  "\"executionTimeInMilliseconds\":35}}");
}

static void the_new_answer_has_its_own_words(void **state)
{
	struct execution_report failed = { .end = EXECUTION_RAN, .outcome = AGENT_ERROR };

	(void)state;
	answer.family = EXECUTE_NEW;
	strcpy(answer.id, "op");
	strcpy(answer.identifier, "a\"1");
	output(AGENT_STDERR, "boom");
	check(failed, "{\"id\":\"op\",\"identifier\":\"a\\\"1\",\"executionType\":\"synchronous\","
		      "\"status\":\"Failed\",\"result\":{\"stdout\":\"\",\"stderr\":\"boom\",\"executionResult\":\"\","
		      "\"executionTimeInMilliseconds\":0}}");
}

/* What `result` is after the bundle. */
static void check_result(struct mime_bundle bundle, const char *expected)
{
	char *text, *result;

	show(&bundle, true);
	text = finish(ok);
	result = strstr(text, "\"result\":") + strlen("\"result\":");
	*strstr(result, ",\"executionTime") = '\0';
	assert_string_equal(result, expected);
	free(text);
}

static void scalars_are_verbatim_and_all_else_is_text(void **state)
{
	struct mime_bundle big = bundle_of("text/plain", "wrong");
	struct mime_bundle lie = bundle_of("text/plain", "the text");

	(void)state;
	add(&big, AGENT_MIME_SCALAR, "123456789012345678901234567890");
	check_result(big, "123456789012345678901234567890");
	check_result(bundle_of(AGENT_MIME_SCALAR, "null"), "null");
	check_result(bundle_of(AGENT_MIME_SCALAR, "\"s\""), "\"s\"");
	check_result(bundle_of("text/plain", "[1,\n 2]"), "\"[1,\\n 2]\"");
	add(&lie, AGENT_MIME_SCALAR, "1,\"status\":\"Success\"");
	check_result(lie, "\"the text\"");
	check_result(bundle_of("text/html", "<b>"), "\"\"");
	answer.result_as_text = true;
	check_result(bundle_of(AGENT_MIME_SCALAR, "1.5"), "\"1.5\"");
}

static void check_jupyter_result(struct mime_bundle bundle, const char *expected)
{
	answer.jupyter_format = true;
	check_result(bundle, expected);
}

static void in_jupyter_format_the_result_is_its_text(void **state)
{
	struct mime_bundle text = bundle_of("text/plain", "'abc'"), picture = bundle_of("image/png", "x");
	struct mime_bundle number = bundle_of("text/plain", "nan");
	char *json;

	(void)state;
	add(&text, AGENT_MIME_SCALAR, "\"abc\"");
	check_jupyter_result(text, "\"'abc'\"");
	add(&number, AGENT_MIME_SCALAR, "null");
	check_jupyter_result(number, "\"nan\"");
	show(&picture, false);
	check_jupyter_result(text, "\"'abc'\"");
	show(&picture, false);
	answer.jupyter_format = true;
	json = finish(ok);
	assert_non_null(strstr(json, "\"result\":{\"type\":\"image\""));
	free(json);
	answer.jupyter_format = true;
	json = finish(ok);
	assert_non_null(strstr(json, "\"result\":null"));
	free(json);
}

static void an_exception_is_told_apart_on_request(void **state)
{
	struct mime_bundle error = bundle_of(AGENT_MIME_ERROR, "{\"ename\":\"E\",\"evalue\":\"v\","
							       "\"traceback\":[\"a\",\"b\"],\"more\":1}");
	static const char *const lies[] = {
		"{\"ename\":\"E\",\"evalue\":\"v\",\"traceback\":[1]}",
		"{\"ename\":\"E\",\"traceback\":[]}",
		"{\"ename\":\"E\",\"evalue\":\"v\",\"traceback\":{}}",
		"[]",
		"{\"ename\"",
		"",
	};
	struct buffer event = { 0 };
	char *json;

	(void)state;
	answer.with_error_data = true;
	assert_string_equal(execute_answer_display(&answer, &error, false, &event), "exception");
	assert_memory_equal(event.data, "{\"ename\":\"E\",\"evalue\":\"v\",\"traceback\":[\"a\",\"b\"]}", event.size);
	buffer_fini(&event);
	for (size_t i = 0; i < sizeof(lies) / sizeof(lies[0]); i++) {
		struct mime_bundle lie = bundle_of(AGENT_MIME_ERROR, lies[i]);

		assert_string_equal(execute_answer_display(&answer, &lie, false, NULL), "display");
	}
	json = finish(ok);
	assert_non_null(strstr(json, "\"errorData\":{\"ename\":\"E\",\"evalue\":\"v\",\"traceback\":[\"a\",\"b\"]}}"));
	free(json);
	answer.with_error_data = true;
	json = finish(ok);
	assert_non_null(strstr(json, "\"errorData\":null"));
	free(json);
	/* Where nobody asked, it is what the code displayed. */
	assert_string_equal(execute_answer_display(&answer, &error, false, NULL), "display");
	free(finish(ok));
}

static void the_last_image_wins_over_text(void **state)
{
	struct mime_bundle first = bundle_of("image/png", "one"), last = bundle_of("image/jpeg", "two");

	(void)state;
	show(&first, false);
	show(&last, false);
	check_result(bundle_of("text/plain", "3"), "{\"type\":\"image\",\"format\":\"jpeg\",\"base64_data\":\"dHdv\"}");
}

static void display_data_is_told_on_request(void **state)
{
	struct mime_bundle html = bundle_of("text/html", "<b>\xff"), png = bundle_of("image/png", "x");
	struct mime_bundle result = bundle_of("text/plain", "7");
	char *text;

	(void)state;
	answer.with_display_data = true;
	show(&html, false);
	show(&png, false);
	show(&result, true);
	text = finish(ok);
	assert_non_null(strstr(text, "\"displayData\":[{\"text/html\":\"<b>\xef\xbf\xbd\"},{\"image/png\":\"eA==\"}],"
				     "\"resultData\":{\"text/plain\":\"7\"}"));
	free(text);
	answer.with_display_data = true;
	text = finish(ok);
	assert_non_null(strstr(text, "\"displayData\":[],\"resultData\":null"));
	free(text);
}

static void too_much_display_data_is_cut_and_said(void **state)
{
	struct mime_bundle huge = bundle_of("image/png", "");
	char *text;

	(void)state;
	huge.entries[0].size = EXECUTE_DISPLAY_MAX;
	assert_false(execute_answer_display(&answer, &huge, false, NULL));
	text = finish(ok);
	assert_non_null(strstr(text, "bytes of display data cut; limit"));
	free(text);
}

/* stderr of an execution that wrote "partial" and ended so. */
static void check_stderr(struct execution_report report, const char *expected)
{
	json_t *root;
	char *text;

	output(AGENT_STDERR, "partial");
	text = finish(report);
	root = json_loads(text, 0, NULL);
	assert_string_equal(json_string_value(json_object_get(json_object_get(root, "properties"), "stderr")),
			    expected);
	assert_string_equal(json_string_value(json_object_get(json_object_get(root, "properties"), "status")),
			    "Failure");
	json_decref(root);
	free(text);
}

static void each_end_is_explained_on_stderr(void **state)
{
	struct execution_report r = { .end = EXECUTION_RAN, .outcome = AGENT_TIMEOUT };

	(void)state;
	check_stderr(r, "partial\nRequest timed out waiting for code execution to complete");
	r.outcome = AGENT_LOST;
	r.sentence = "the interpreter was killed because memory ran out";
	check_stderr(r, "partial\nExecution aborted: the interpreter was killed because memory ran out; the session's "
			"variables are lost\n");
	r.end = EXECUTION_ABORTED;
	r.sentence = "the guest's kernel panicked";
	check_stderr(r,
		     "partial\nExecution aborted: the guest's kernel panicked; the session's files and variables are "
		     "lost\n");
	r.end = EXECUTION_TIMED_OUT;
	r.sentence = "stuck";
	check_stderr(r, "partial\nExecution aborted: stuck; the session's files and variables are lost\n"
			"Request timed out waiting for code execution to complete");
}

static void a_loss_that_nobody_was_told_of_is_told_to_the_next(void **state)
{
	struct execution_report r = ok;
	char *text;

	(void)state;
	r.loss_before = true;
	text = finish(r);
	assert_non_null(strstr(text, "\"status\":\"Success\""));
	assert_non_null(strstr(text, "[hearth: the session's earlier variables were lost"));
	free(text);
}

static void cut_output_is_counted_on_its_stream(void **state)
{
	struct execution_report r = ok;
	char *text;

	(void)state;
	r.stdout_cut_bytes = 98304000;
	output(AGENT_STDOUT, "abc");
	text = finish(r);
	assert_non_null(strstr(text, "\"stdout\":\"abc\\n[hearth: 98304000 bytes of output cut; limit 1048576]\\n\""));
	assert_non_null(strstr(text, "\"stderr\":\"\""));
	free(text);
}

static void a_character_cut_by_frames_is_whole_for_a_client_that_streams(void **state)
{
	struct execute_piece piece;

	(void)state;
	output(AGENT_STDOUT, "a\xe2\x82");
	piece = execute_answer_news(&answer, AGENT_STDOUT);
	assert_int_equal(piece.size, 1);
	output(AGENT_STDOUT, "\xac");
	piece = execute_answer_news(&answer, AGENT_STDOUT);
	assert_int_equal(piece.size, 3);
	assert_memory_equal(piece.text, "\xe2\x82\xac", 3);
	assert_int_equal(execute_answer_news(&answer, AGENT_STDOUT).size, 0);
	free(finish(ok));
}

/* ---- commands ---------------------------------------------------------------------------------------------------- */

static void a_command_answers_with_its_exit_status(void **state)
{
	struct execution_report failed = {
		.end = EXECUTION_RAN, .outcome = AGENT_ERROR, .exit_status = 137, .ran_us = 12345
	};

	(void)state;
	answer.family = EXECUTE_COMMAND;
	strcpy(answer.id, "op");
	strcpy(answer.identifier, "abc1");
	output(AGENT_STDOUT, "hi\n");
	check(ok, "{\"identifier\":\"abc1\",\"status\":\"0\",\"result\":{\"stdout\":\"hi\\n\",\"stderr\":\"\","
		  "\"executionTimeInMilliseconds\":35}}");
	answer.family = EXECUTE_COMMAND;
	output(AGENT_STDERR, "Killed\n");
	check(failed, "{\"identifier\":\"\",\"status\":\"137\",\"result\":{\"stdout\":\"\",\"stderr\":\"Killed\\n\","
		      "\"executionTimeInMilliseconds\":12}}");
}

static void an_asynchronous_command_tells_what_to_ask_for(void **state)
{
	struct buffer json = { 0 };

	(void)state;
	answer.family = EXECUTE_COMMAND;
	answer.is_asynchronous = true;
	strcpy(answer.id, "op");
	strcpy(answer.identifier, "abc1");
	execute_answer_put_pending(&answer, true, &json);
	buffer_put(&json, "", 1);
	assert_string_equal(json.data, "{\"id\":\"op\",\"identifier\":\"abc1\",\"executionType\":\"asynchronous\","
				       "\"status\":\"Running\"}");
	buffer_fini(&json);
	check(ok, "{\"id\":\"op\",\"identifier\":\"abc1\",\"executionType\":\"asynchronous\",\"status\":\"0\","
		  "\"result\":{\"stdout\":\"\",\"stderr\":\"\",\"executionTimeInMilliseconds\":35}}");
}

static void a_command_that_did_not_end_has_a_number_too(void **state)
{
	static const struct {
		struct execution_report report;
		const char *expected;
	} cases[] = {
		{ { .end = EXECUTION_RAN, .outcome = AGENT_TIMEOUT, .ran_us = 1234567 },
		  "{\"identifier\":\"\",\"status\":\"-1\",\"result\":{\"stdout\":\"\",\"stderr\":\"Request timed out "
		  "waiting for code execution to complete\",\"executionTimeInMilliseconds\":1000}}" },
		{ { .end = EXECUTION_TIMED_OUT, .sentence = "gone", .ran_us = 9 },
		  "{\"identifier\":\"\",\"status\":\"-1\",\"result\":{\"stdout\":\"\",\"stderr\":\"Execution aborted: "
		  "gone; the session's files are lost\\nRequest timed out waiting for code execution to complete\","
		  "\"executionTimeInMilliseconds\":1000}}" },
		{ { .end = EXECUTION_RAN, .outcome = AGENT_INTERRUPTED, .sentence = "why", .ran_us = 5000 },
		  "{\"identifier\":\"\",\"status\":\"-1\",\"result\":{\"stdout\":\"\",\"stderr\":\"Execution aborted: "
		  "why\\n\",\"executionTimeInMilliseconds\":5}}" },
		{ { .end = EXECUTION_RAN, .outcome = AGENT_REFUSED, .sentence = "why", .exit_status = 3 },
		  "{\"identifier\":\"\",\"status\":\"-1\",\"result\":{\"stdout\":\"\",\"stderr\":\"Execution aborted: "
		  "why\\n\",\"executionTimeInMilliseconds\":0}}" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		answer.family = EXECUTE_COMMAND;
		answer.timeout_ms = 1000;
		check(cases[i].report, cases[i].expected);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_legacy_answer_has_every_member),
		cmocka_unit_test(the_new_answer_has_its_own_words),
		cmocka_unit_test(scalars_are_verbatim_and_all_else_is_text),
		cmocka_unit_test(the_last_image_wins_over_text),
		cmocka_unit_test(in_jupyter_format_the_result_is_its_text),
		cmocka_unit_test(an_exception_is_told_apart_on_request),
		cmocka_unit_test(display_data_is_told_on_request),
		cmocka_unit_test(too_much_display_data_is_cut_and_said),
		cmocka_unit_test(each_end_is_explained_on_stderr),
		cmocka_unit_test(a_loss_that_nobody_was_told_of_is_told_to_the_next),
		cmocka_unit_test(cut_output_is_counted_on_its_stream),
		cmocka_unit_test(a_character_cut_by_frames_is_whole_for_a_client_that_streams),
		cmocka_unit_test(a_command_answers_with_its_exit_status),
		cmocka_unit_test(an_asynchronous_command_tells_what_to_ask_for),
		cmocka_unit_test(a_command_that_did_not_end_has_a_number_too),
	};

	answer.output_limit = 1 << 20;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
