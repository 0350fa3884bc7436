#include "api/execute_request.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct execute_request request;

static int parse(const char *body, struct error *err)
{
	return execute_request_parse(&request, false, body, strlen(body), err);
}

static void check_code(const char *body, const char *code)
{
	struct error err = { 0 };

	if (parse(body, &err) < 0)
		fail_msg("%s: %s", body, err.text);
	assert_int_equal(request.code_size, strlen(code));
	assert_memory_equal(request.code, code, request.code_size);
	execute_request_fini(&request);
}

static void check_error(const char *body, int code, const char *part)
{
	struct error err = { 0 };

	assert_true(parse(body, &err) < 0);
	assert_int_equal(err.code, code);
	if (!strstr(err.text, part))
		fail_msg("\"%s\" is not in \"%s\"", part, err.text);
	execute_request_fini(&request);
}

static void wrapped_and_flat_bodies_with_keys_in_any_case_are_taken(void **state)
{
	(void)state;
	check_code("{\"code\":\"1\"}", "1");
	check_code("{\"properties\":{\"codeInputType\":\"inline\",\"executionType\":\"synchronous\",\"code\":\"a\"}}",
		   "a");
	check_code("{\"Properties\":{\"CODE\":\"a\",\"CodeInputType\":\"INLINE\",\"executiontype\":\"Synchronous\"}}",
		   "a");
	check_code("{\"pythonCode\":\"p\"}", "p");
	check_code("{\"code\":\"eCsx\",\"codeInputType\":\"InlineBase64\"}", "x+1");
	check_code("{\"code\":\"x\",\"codeInputType\":\"InlineText\",\"sanitizeInput\":true,\"whatever\":[1]}", "x");
	check_code("{\"code\":\"\"}", "");
	check_code("{\"code\":\"x\",\"executionType\":null,\"timeoutInSeconds\":null}", "x");
}

static void code_may_hold_nul(void **state)
{
	struct error err = { 0 };

	(void)state;
	assert_int_equal(parse("{\"code\":\"a\\u0000b\"}", &err), 0);
	assert_int_equal(request.code_size, 3);
	assert_memory_equal(request.code, "a\0b", 3);
	execute_request_fini(&request);
}

static void switches_of_2025_10_02_are_read(void **state)
{
	struct error err = { 0 };

	(void)state;
	assert_int_equal(parse("{\"code\":\"x\",\"useEmptyKernel\":true,\"returnJupyterFormat\":true}", &err), 0);
	assert_true(request.use_empty_kernel && request.return_jupyter_format);
	assert_false(request.leave_no_trace || request.return_error_data);
	execute_request_fini(&request);
	assert_int_equal(parse("{\"code\":\"x\",\"returnJupyterFormatExecutionResult\":true,\"leaveNoTrace\":true,"
			       "\"returnErrorData\":true}",
			       &err),
			 0);
	assert_true(request.return_jupyter_format && request.leave_no_trace && request.return_error_data);
	assert_false(request.use_empty_kernel);
	execute_request_fini(&request);
	check_error("{\"code\":\"x\",\"useEmptyKernel\":\"yes\"}", EXECUTE_REQUEST_INVALID, "useEmptyKernel");
}

static void fields_are_read(void **state)
{
	struct error err = { 0 };

	(void)state;
	assert_int_equal(parse("{\"code\":\"x\",\"language\":\"JavaScript\",\"timeoutInSeconds\":\"60\","
			       "\"outputStreamsMaxLength\":4096.0,\"returnDisplayData\":true,\"identifier\":\"i\","
			       "\"returnJupyterFormat\":true}",
			       &err),
			 0);
	assert_int_equal(request.language, AGENT_NODE);
	assert_int_equal(request.timeout_s, 60);
	assert_int_equal(request.output_limit, 4096);
	assert_true(request.return_display_data);
	assert_true(request.return_jupyter_format);
	assert_string_equal(request.identifier, "i");
	execute_request_fini(&request);
}

static void what_is_not_json_is_malformed(void **state)
{
	static const char *const bad[] = {
		"", "{", "nonsense", "{\"code\":\"\\ud800\"}", "{\"code\":\"\xff\"}", "{\"code\":\"x\"} trailing"
	};

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		check_error(bad[i], EXECUTE_REQUEST_MALFORMED, "not JSON");
}

static void wrong_types_name_the_field(void **state)
{
	(void)state;
	check_error("[]", EXECUTE_REQUEST_INVALID, "object");
	check_error("\"x\"", EXECUTE_REQUEST_MALFORMED, "not JSON");
	check_error("{\"properties\":[]}", EXECUTE_REQUEST_INVALID, "'properties'");
	check_error("{\"code\":1}", EXECUTE_REQUEST_INVALID, "'code'");
	check_error("{\"code\":\"x\",\"timeoutInSeconds\":\"soon\"}", EXECUTE_REQUEST_INVALID, "'timeoutInSeconds'");
	check_error("{\"code\":\"x\",\"timeoutInSeconds\":{}}", EXECUTE_REQUEST_INVALID, "'timeoutInSeconds'");
	check_error("{\"code\":\"x\",\"language\":\"cobol\"}", EXECUTE_REQUEST_INVALID, "'language'");
	check_error("{\"code\":\"x\",\"language\":3}", EXECUTE_REQUEST_INVALID, "'language'");
	check_error("{\"code\":\"x\",\"codeInputType\":\"file\"}", EXECUTE_REQUEST_INVALID, "'codeInputType'");
	check_error("{\"code\":\"x\",\"executionType\":\"later\"}", EXECUTE_REQUEST_INVALID, "'executionType'");
	check_error("{\"code\":\"x\",\"returnDisplayData\":\"yes\"}", EXECUTE_REQUEST_INVALID, "'returnDisplayData'");
	check_error("{\"code\":\"/w==\",\"codeInputType\":\"inlineBase64\"}", EXECUTE_REQUEST_INVALID,
		    "base64 of UTF-8");
}

static void the_execution_type_is_taken_in_any_case(void **state)
{
	static const char *const bodies[] = { "{\"code\":\"x\"}", "{\"code\":\"x\",\"executionType\":\"SYNCHRONOUS\"}",
					      "{\"code\":\"x\",\"executionType\":\"asynchronouS\"}" };

	(void)state;
	for (size_t i = 0; i < 3; i++) {
		struct error err = { 0 };

		assert_int_equal(execute_request_parse(&request, false, bodies[i], strlen(bodies[i]), &err), 0);
		assert_int_equal(request.is_asynchronous, i == 2);
		execute_request_fini(&request);
	}
}

static void missing_code_has_an_answer_of_its_own(void **state)
{
	(void)state;
	check_error("{}", EXECUTE_REQUEST_NO_CODE, "'code' is required");
	check_error("{\"properties\":{}}", EXECUTE_REQUEST_NO_CODE, "'code' is required");
	check_error("{\"code\":null}", EXECUTE_REQUEST_NO_CODE, "'code' is required");
}

static void a_document_of_many_values_is_refused_before_it_is_parsed(void **state)
{
	static char body[40000];

	(void)state;
	memset(body, '[', sizeof(body) - 1);
	check_error(body, EXECUTE_REQUEST_MALFORMED, "values");
}

/* ---- commands ---------------------------------------------------------------------------------------------------- */

/* What the agent gets, in agent_protocol.h's words. */
#define COMMAND   "\1\0\0"
#define ARGUMENTS "\2\0\0"

static void check_shell(const char *body, const char *code, size_t size)
{
	struct error err = { 0 };

	if (execute_request_parse(&request, true, body, strlen(body), &err) < 0)
		fail_msg("%s: %s", body, err.text);
	assert_int_equal(request.language, AGENT_SHELL);
	assert_int_equal(request.code_size, size);
	assert_memory_equal(request.code, code, size);
	execute_request_fini(&request);
}

#define CHECK_SHELL(body, code) check_shell(body, code, sizeof(code) - 1)

static void a_command_is_a_text_or_arguments(void **state)
{
	(void)state;
	CHECK_SHELL("{\"shellCommand\":\"ls | wc\"}", COMMAND "\0\0\0\0\0ls | wc\0");
	CHECK_SHELL("{\"properties\":{\"ShellCommand\":\"\"}}", COMMAND "\0\0\0\0\0\0");
	CHECK_SHELL("{\"execCommandAndArgs\":[\"ls\",\"\",\"a b\"]}", ARGUMENTS "\0\0\0\0\0ls\0\0a b\0");
	CHECK_SHELL("{\"shellCommand\":\"cat\",\"stdin\":\"a\\u0000b\"}", COMMAND "\0\3\0\0\0a\0b"
										  "cat\0");
	CHECK_SHELL("{\"shellCommand\":\"x\",\"execCommandAndArgs\":null,\"stdin\":null}", COMMAND "\0\0\0\0\0x\0");
}

static void what_is_about_code_alone_is_passed_over_in_a_command(void **state)
{
	(void)state;
	CHECK_SHELL("{\"codeInputType\":\"whatever\",\"executionType\":\"Synchronous\",\"code\":7,"
		    "\"language\":\"python\",\"shellCommand\":\"ls\"}",
		    COMMAND "\0\0\0\0\0ls\0");
	check_code("{\"code\":\"x\",\"shellCommand\":7,\"stdin\":7}", "x");
}

static void check_shell_error(const char *body, int code, const char *part)
{
	struct error err = { 0 };

	assert_true(execute_request_parse(&request, true, body, strlen(body), &err) < 0);
	assert_int_equal(err.code, code);
	if (!strstr(err.text, part))
		fail_msg("\"%s\" is not in \"%s\"", part, err.text);
	execute_request_fini(&request);
}

static void commands_that_make_no_sense_name_the_field(void **state)
{
	static char many[8192] = "{\"execCommandAndArgs\":[\"x\"";

	(void)state;
	check_shell_error("{\"codeInputType\":\"inline\",\"code\":\"ls\"}", EXECUTE_REQUEST_NO_CODE,
			  "'shellCommand' or 'execCommandAndArgs' is required");
	check_error("{\"shellCommand\":\"ls\"}", EXECUTE_REQUEST_NO_CODE, "'code' is required");
	check_shell_error("{\"shellCommand\":\"ls\",\"execCommandAndArgs\":[\"ls\"]}", EXECUTE_REQUEST_INVALID,
			  "Only one");
	check_shell_error("{\"shellCommand\":[\"ls\"]}", EXECUTE_REQUEST_INVALID, "'shellCommand'");
	check_shell_error("{\"shellCommand\":\"a\\u0000b\"}", EXECUTE_REQUEST_INVALID, "'shellCommand'");
	check_shell_error("{\"shellCommand\":\"cat\",\"stdin\":1}", EXECUTE_REQUEST_INVALID, "'stdin'");
	check_shell_error("{\"execCommandAndArgs\":\"ls\"}", EXECUTE_REQUEST_INVALID, "'execCommandAndArgs'");
	check_shell_error("{\"execCommandAndArgs\":[]}", EXECUTE_REQUEST_INVALID, "1 to 1024");
	check_shell_error("{\"execCommandAndArgs\":[\"\",\"a\"]}", EXECUTE_REQUEST_INVALID, "begin with a program");
	check_shell_error("{\"execCommandAndArgs\":[\"ls\",1]}", EXECUTE_REQUEST_INVALID, "texts alone");
	check_shell_error("{\"execCommandAndArgs\":[\"a\\u0000b\"]}", EXECUTE_REQUEST_INVALID, "NUL");
	for (int i = 1; i < 1025; i++)
		strcat(many, ",\"x\"");
	strcat(many, "]}");
	check_shell_error(many, EXECUTE_REQUEST_INVALID, "1 to 1024");
}

/* A body whose field `key` has `size` bytes. */
static char *body_with(const char *key, const char *rest, size_t size)
{
	char *body = malloc(size + 128), *at = body;

	assert_non_null(body);
	at += sprintf(at, "{%s\"%s\":\"", rest, key);
	memset(at, 'x', size);
	strcpy(at + size, "\"}");
	return body;
}

static void commands_are_large_up_to_the_limit_of_code(void **state)
{
	char *fits = body_with("shellCommand", "", AGENT_CODE_MAX - AGENT_SHELL_PREFIX - 1);
	char *exceeds = body_with("shellCommand", "", AGENT_CODE_MAX - AGENT_SHELL_PREFIX);
	char *input = body_with("stdin", "\"shellCommand\":\"cat\",", AGENT_CODE_MAX - 4);
	char *much = body_with("stdin", "\"shellCommand\":\"cat\",", AGENT_CODE_MAX + 1);
	struct error err = { 0 };

	(void)state;
	assert_int_equal(execute_request_parse(&request, true, fits, strlen(fits), &err), 0);
	assert_int_equal(request.code_size, AGENT_CODE_MAX);
	execute_request_fini(&request);
	check_shell_error(exceeds, EXECUTE_REQUEST_TOO_LARGE, "larger than");
	check_shell_error(input, EXECUTE_REQUEST_TOO_LARGE, "stdin included");
	check_shell_error(much, EXECUTE_REQUEST_TOO_LARGE, "'stdin'");
	free(fits);
	free(exceeds);
	free(input);
	free(much);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(wrapped_and_flat_bodies_with_keys_in_any_case_are_taken),
		cmocka_unit_test(code_may_hold_nul),
		cmocka_unit_test(fields_are_read),
		cmocka_unit_test(switches_of_2025_10_02_are_read),
		cmocka_unit_test(what_is_not_json_is_malformed),
		cmocka_unit_test(wrong_types_name_the_field),
		cmocka_unit_test(the_execution_type_is_taken_in_any_case),
		cmocka_unit_test(missing_code_has_an_answer_of_its_own),
		cmocka_unit_test(a_document_of_many_values_is_refused_before_it_is_parsed),
		cmocka_unit_test(a_command_is_a_text_or_arguments),
		cmocka_unit_test(what_is_about_code_alone_is_passed_over_in_a_command),
		cmocka_unit_test(commands_that_make_no_sense_name_the_field),
		cmocka_unit_test(commands_are_large_up_to_the_limit_of_code),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
