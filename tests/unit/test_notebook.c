#include "api/notebook.h"
#include "api/notebook_output.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define NOTEBOOK(cells) "{\"nbformat\":4,\"nbformat_minor\":5,\"metadata\":{},\"cells\":[" cells "]}"
#define CODE(source)    "{\"cell_type\":\"code\",\"id\":\"a\",\"metadata\":{},\"source\":" source "}"

static struct notebook notebook;

static void parse(const char *text)
{
	struct error err = { 0 };

	if (notebook_parse(&notebook, text, strlen(text), &err) < 0)
		fail_msg("%s: %s", text, err.text);
}

static void check_error(const char *text, int code, const char *part)
{
	struct error err = { 0 };

	assert_true(notebook_parse(&notebook, text, strlen(text), &err) < 0);
	assert_int_equal(err.code, code);
	if (!strstr(err.text, part))
		fail_msg("\"%s\" is not in \"%s\"", part, err.text);
	notebook_fini(&notebook);
}

/* The code of the next cell is this; NULL: there is none. */
static void check_next(const char *expected)
{
	struct buffer code = { 0 };

	assert_int_equal(notebook_begin_cell(&notebook, &code), expected != NULL);
	if (expected) {
		assert_int_equal(code.size, strlen(expected));
		assert_memory_equal(code.data, expected, code.size);
	}
	buffer_fini(&code);
}

static void check_put(const char *expected)
{
	struct buffer json = { 0 };

	notebook_put(&notebook, &json);
	buffer_put(&json, "", 1);
	assert_string_equal(json.data, expected);
	buffer_fini(&json);
	notebook_fini(&notebook);
}

static void what_is_no_notebook_is_refused(void **state)
{
	(void)state;
	check_error("", EINVAL, "not JSON");
	check_error("[1]", EINVAL, "must be a JSON object");
	check_error("{\"nbformat\":3,\"worksheets\":[]}", EINVAL, "nbformat 4");
	check_error("{\"nbformat\":\"4\",\"cells\":[]}", EINVAL, "nbformat 4");
	check_error("{\"nbformat\":4}", EINVAL, "'cells'");
	check_error("{\"nbformat\":4,\"cells\":{}}", EINVAL, "'cells'");
	check_error("{\"nbformat\":4,\"metadata\":[],\"cells\":[]}", EINVAL, "'metadata'");
	check_error("{\"nbformat\":4,\"nbformat_minor\":{},\"cells\":[]}", EINVAL, "'nbformat_minor'");
	check_error("{\"nbformat\":4,\"nbformat_minor\":4.5,\"cells\":[]}", EINVAL, "'nbformat_minor'");
	check_error("{\"nbformat\":4,\"nbformat_minor\":null,\"cells\":[]}", EINVAL, "'nbformat_minor'");
	check_error(NOTEBOOK("7"), EINVAL, "cell 0");
	check_error(NOTEBOOK("{\"cell_type\":\"code\"}"), EINVAL, "'source' of the cell 0");
	check_error(NOTEBOOK(CODE("[\"a\",1]")), EINVAL, "'source'");
	check_error(NOTEBOOK(CODE("null")), EINVAL, "'source'");
	check_error(NOTEBOOK("{\"cell_type\":\"code\",\"source\":\"\",\"metadata\":1}"), EINVAL,
		    "'metadata' of the cell");
}

/* `item` often, with commas, between the two ends. The caller frees it. */
static char *repeat(const char *begin, const char *item, size_t n, const char *end)
{
	struct buffer text = { 0 };

	buffer_put_text(&text, begin);
	for (size_t i = 0; i < n; i++) {
		buffer_put_text(&text, i ? "," : "");
		buffer_put_text(&text, item);
	}
	buffer_put_text(&text, end);
	buffer_put(&text, "", 1);
	assert_false(text.failed);
	return text.data;
}

static void what_would_take_too_much_memory_is_refused(void **state)
{
	char *cells = repeat("{\"nbformat\":4,\"cells\":[", "{\"cell_type\":\"raw\",\"source\":\"\"}",
			     NOTEBOOK_CELLS_MAX + 1, "]}");
	char *values = repeat("{\"nbformat\":4,\"cells\":[],\"metadata\":{\"a\":[", "0", NOTEBOOK_VALUES_MAX, "]}}");
	char *code =
		repeat("{\"nbformat\":4,\"cells\":[{\"cell_type\":\"code\",\"source\":[",
		       "\"0123456789012345678901234567890123456789012345678901234567890123456789012345678901234567\"",
		       AGENT_CODE_MAX / 88 + 1, "]}]}");
	char *deep = repeat("{\"nbformat\":4,\"cells\":[],\"metadata\":", "", 0, "");
	struct buffer nested = { 0 };

	(void)state;
	check_error(cells, E2BIG, "cells");
	check_error(values, E2BIG, "values");
	check_error(code, E2BIG, "code of the cell 0");
	buffer_put_text(&nested, deep);
	for (int i = 0; i < 100000; i++)
		buffer_put_text(&nested, "[");
	buffer_put(&nested, "", 1);
	check_error(nested.data, EINVAL, "not JSON");
	buffer_fini(&nested);
	free(cells);
	free(values);
	free(code);
	free(deep);
}

static void cells_of_code_come_in_order_and_others_stay(void **state)
{
	(void)state;
	parse(NOTEBOOK("{\"cell_type\":\"markdown\",\"id\":\"m\",\"metadata\":{\"x\":1},\"source\":[\"# a\"]}," CODE(
		"[\"x = 1\\n\",\"x\"]") "," CODE("\" \\n\"") ","
							     "{\"cell_type\":\"code\",\"id\":\"s\",\"metadata\":{"
							     "\"tags\":[\"skip-execution\"]},"
							     "\"source\":\"boom\"}," CODE("\"y\"")));
	assert_int_equal(notebook.n_code_cells, 2);
	check_next("x = 1\nx");
	assert_int_equal(notebook.cell_index, 1);
	notebook_set_outputs(&notebook, json_pack("[i]", 7));
	assert_false(notebook_cell_may_fail(&notebook));
	check_next("y");
	assert_int_equal(notebook.cell_index, 4);
	check_next(NULL);
	notebook_set_status(&notebook, true, -1);
	check_put(
		"{\"nbformat\":4,\"nbformat_minor\":5,\"metadata\":{\"hearth\":{\"status\":\"Succeeded\","
		"\"executedCells\":2,\"codeCells\":2}},\"cells\":["
		"{\"cell_type\":\"markdown\",\"id\":\"m\",\"metadata\":{\"x\":1},\"source\":[\"# a\"]},"
		"{\"cell_type\":\"code\",\"id\":\"a\",\"metadata\":{},\"source\":[\"x = 1\\n\",\"x\"],"
		"\"execution_count\":1,\"outputs\":[7]}," CODE(
			"\" \\n\"") ","
				    "{\"cell_type\":\"code\",\"id\":\"s\",\"metadata\":{\"tags\":[\"skip-execution\"]},"
				    "\"source\":\"boom\"},"
				    "{\"cell_type\":\"code\",\"id\":\"a\",\"metadata\":{},\"source\":\"y\","
				    "\"execution_count\":2,\"outputs\":[]}]}");
}

static void what_the_format_wants_is_added(void **state)
{
	(void)state;
	parse("{\"nbformat\":4,\"nbformat_minor\":5,\"cells\":[{\"cell_type\":\"code\",\"source\":\"x\"}]}");
	check_next("x");
	assert_int_equal(json_string_length(json_object_get(notebook.cell, "id")), 8);
	assert_true(json_is_object(json_object_get(notebook.cell, "metadata")));
	notebook_fini(&notebook);
	parse("{\"nbformat\":4,\"nbformat_minor\":4,\"cells\":[{\"cell_type\":\"code\",\"source\":\"x\"}]}");
	check_next("x");
	assert_null(json_object_get(notebook.cell, "id"));
	notebook_set_status(&notebook, false, 0);
	check_put("{\"nbformat\":4,\"nbformat_minor\":4,\"cells\":[{\"cell_type\":\"code\",\"source\":\"x\","
		  "\"metadata\":{},"
		  "\"execution_count\":1,\"outputs\":[]}],\"metadata\":{\"hearth\":{\"status\":\"Failed\","
		  "\"executedCells\":1,\"codeCells\":1,\"failedCell\":0}}}");
}

static void the_language_is_that_of_the_metadata(void **state)
{
	static const struct {
		const char *metadata;
		int language; /* negative: refused */
	} cases[] = {
		{ "{}", 0 },
		{ "{\"language_info\":{\"name\":\"python\"}}", AGENT_PYTHON },
		{ "{\"kernelspec\":{\"language\":\"javascript\",\"name\":\"x\"}}", AGENT_NODE },
		{ "{\"kernelspec\":7,\"language_info\":[]}", 0 },
		{ "{\"language_info\":{\"name\":\"julia\"}}", -1 },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		enum agent_language language;
		struct error err = { 0 };
		char text[256];
		int rc;

		snprintf(text, sizeof(text), "{\"nbformat\":4,\"metadata\":%s,\"cells\":[]}", cases[i].metadata);
		parse(text);
		rc = notebook_language(&notebook, &language, &err);
		assert_int_equal(rc < 0, cases[i].language < 0);
		if (rc == 0)
			assert_int_equal(language, cases[i].language);
		notebook_fini(&notebook);
	}
}

/* ---- outputs ----------------------------------------------------------------------------------------------------- */

static struct notebook_output output;
static size_t budget;

static void begin(void)
{
	budget = 1 << 20;
	notebook_output_begin(&output, &budget, 3, 1 << 16);
}

static void stream(enum agent_frame_type which, const char *text)
{
	notebook_output_stream(&output, which, (const uint8_t *)text, strlen(text));
}

static void show(const char *type, const char *data, bool is_result)
{
	struct mime_bundle bundle = { .n_entries = 1 };

	strcpy(bundle.entries[0].type, type);
	bundle.entries[0].data = (const uint8_t *)data;
	bundle.entries[0].size = strlen(data);
	notebook_output_display(&output, &bundle, is_result);
}

static void end(struct execution_report report, enum notebook_cell_end expected_end, const char *expected)
{
	json_t *list;
	char *text;

	if (!report.sentence)
		report.sentence = "";
	assert_int_equal(notebook_output_finish(&output, &report), expected_end);
	list = notebook_output_take(&output);
	text = json_dumps(list, JSON_COMPACT);
	assert_string_equal(text, expected);
	free(text);
	json_decref(list);
}

static const struct execution_report ok = { .end = EXECUTION_RAN, .outcome = AGENT_OK };
static const struct execution_report failed = { .end = EXECUTION_RAN, .outcome = AGENT_ERROR };

#define STREAM(name, text) "{\"output_type\":\"stream\",\"name\":\"" name "\",\"text\":\"" text "\"}"
#define ERROR(name, value, trace)                                                                                      \
	"{\"ename\":\"" name "\",\"evalue\":\"" value "\",\"traceback\":[\"" trace "\"],\"output_type\":\"error\"}"

static void outputs_keep_their_order(void **state)
{
	(void)state;
	begin();
	stream(AGENT_STDOUT, "a");
	stream(AGENT_STDOUT, "b\xc3");
	stream(AGENT_STDOUT, "\xbc\n");
	stream(AGENT_STDERR, "e\xff");
	show("text/html", "<b>", false);
	stream(AGENT_STDOUT, "c");
	show("text/plain", "7", true);
	end(ok, NOTEBOOK_CELL_SUCCEEDED,
	    "[" STREAM("stdout", "ab\u00fc\\n") "," STREAM(
		    "stderr", "e\ufffd") ","
					 "{\"output_type\":\"display_data\",\"data\":{\"text/"
					 "html\":\"<b>\"},\"metadata\":{}}," STREAM(
						 "stdout",
						 "c") ","
						      "{\"output_type\":\"execute_result\",\"data\":{\"text/"
						      "plain\":\"7\"},\"metadata\":{},\"execution_count\":3}]");
}

static void types_are_as_notebooks_hold_them(void **state)
{
	(void)state;
	begin();
	show("image/png", "x", false);
	show("application/json", "{\"a\":[1]}", false);
	show("application/x+json", "no json", false);
	show(AGENT_MIME_SCALAR, "1", true);
	end(ok, NOTEBOOK_CELL_SUCCEEDED,
	    "[{\"output_type\":\"display_data\",\"data\":{\"image/png\":\"eA==\"},\"metadata\":{}},"
	    "{\"output_type\":\"display_data\",\"data\":{\"application/json\":{\"a\":[1]}},\"metadata\":{}},"
	    "{\"output_type\":\"display_data\",\"data\":{},\"metadata\":{}},"
	    "{\"output_type\":\"execute_result\",\"data\":{},\"metadata\":{},\"execution_count\":3}]");
}

static void a_failure_has_exactly_one_error(void **state)
{
	static const char error[] = "{\"ename\":\"E\",\"evalue\":\"v\",\"traceback\":[\"t\"]}";
	struct execution_report timed_out = { .end = EXECUTION_RAN, .outcome = AGENT_TIMEOUT };
	struct execution_report lost = { .end = EXECUTION_RAN, .outcome = AGENT_LOST, .sentence = "it died\xff" };
	struct execution_report aborted = { .end = EXECUTION_ABORTED, .sentence = "gone" };

	(void)state;
	begin();
	show(AGENT_MIME_ERROR, error, false);
	end(failed, NOTEBOOK_CELL_FAILED, "[" ERROR("E", "v", "t") "]");
	begin();
	end(failed, NOTEBOOK_CELL_FAILED,
	    "[" ERROR("Error", "The code failed and told no exception.", "The code failed and told no exception.") "]");
	begin();
	show(AGENT_MIME_ERROR, error, false);
	end(timed_out, NOTEBOOK_CELL_FAILED,
	    "[" ERROR("TimeoutError", "Request timed out waiting for code execution to complete", "t") "]");
	begin();
	end(lost, NOTEBOOK_CELL_LOST,
	    "[" ERROR("InterpreterLost", "Execution aborted: it died\ufffd; the session's variables are lost",
		      "Execution aborted: it died\ufffd; the session's variables are lost") "]");
	begin();
	end(aborted, NOTEBOOK_CELL_LOST,
	    "[" ERROR("SessionLost", "Execution aborted: gone; the session's files and variables are lost",
		      "Execution aborted: gone; the session's files and variables are lost") "]");
}

static void too_much_output_is_cut_and_says_so(void **state)
{
	struct execution_report cut = { .end = EXECUTION_RAN, .outcome = AGENT_OK, .stdout_cut_bytes = 5 };
	char *many = repeat("[", "0", 9999, "]");

	(void)state;
	begin();
	budget = 3;
	stream(AGENT_STDOUT, "abc");
	stream(AGENT_STDOUT, "defg");
	show("text/plain", "hi", true);
	end(cut, NOTEBOOK_CELL_SUCCEEDED,
	    "[" STREAM("stdout", "abc") "," STREAM("stderr",
						   "[hearth: 5 bytes of stdout cut; limit 65536]\\n"
						   "[hearth: 6 bytes of output cut: it was too much for the cell "
						   "or for the notebook]\\n") "]");
	begin();
	for (int i = 0; i < 100000; i++)
		stream(i % 2 ? AGENT_STDOUT : AGENT_STDERR, "x");
	assert_true(json_array_size(output.list) <= NOTEBOOK_OUTPUTS_MAX);
	assert_true(output.n_cut > 98000);
	notebook_output_fini(&output);
	/* Values cost more than their bytes. */
	begin();
	show("application/json", many, false);
	show("application/json", many, false);
	assert_int_equal(json_array_size(output.list), 1);
	assert_int_equal(budget, (1 << 20) - strlen(many) - strlen("application/json") - 640000 - 128 - 1024);
	notebook_output_fini(&output);
	free(many);
}

/* A guest chooses how long they are, and that there is nothing behind them. */
static void types_cost_as_values_do(void **state)
{
	struct mime_bundle bundle = { .n_entries = AGENT_MIME_ENTRIES_MAX };
	json_t *list;
	size_t size;

	(void)state;
	for (unsigned int i = 0; i < bundle.n_entries; i++)
		snprintf(bundle.entries[i].type, sizeof(bundle.entries[i].type), "text/%0200u", i);
	begin();
	for (int i = 0; i < NOTEBOOK_OUTPUTS_MAX; i++)
		notebook_output_display(&output, &bundle, false);
	list = notebook_output_take(&output);
	assert_true(json_array_size(list) < NOTEBOOK_OUTPUTS_MAX / 4);
	size = json_dumpb(list, NULL, 0, JSON_COMPACT);
	assert_in_range(size, 1 << 18, 1 << 20);
	json_decref(list);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_no_notebook_is_refused),
		cmocka_unit_test(what_would_take_too_much_memory_is_refused),
		cmocka_unit_test(cells_of_code_come_in_order_and_others_stay),
		cmocka_unit_test(what_the_format_wants_is_added),
		cmocka_unit_test(the_language_is_that_of_the_metadata),
		cmocka_unit_test(outputs_keep_their_order),
		cmocka_unit_test(types_are_as_notebooks_hold_them),
		cmocka_unit_test(a_failure_has_exactly_one_error),
		cmocka_unit_test(too_much_output_is_cut_and_says_so),
		cmocka_unit_test(types_cost_as_values_do),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
