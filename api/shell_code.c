#include "api/shell_code.h"

#include "api/execute_request.h"
#include "api/json.h"
#include "common/bytes.h"

#include <string.h>

struct text {
	const char *data;
	size_t size;
};

static void put_prefix(struct buffer *code, enum agent_shell_form form, size_t input_size)
{
	uint8_t prefix[AGENT_SHELL_PREFIX];
	struct bytes b = bytes_over(prefix, sizeof(prefix));

	bytes_put_u8(&b, (uint8_t)form);
	bytes_put_u8(&b, 0);
	bytes_put_u16(&b, 0);
	bytes_put_u32(&b, (uint32_t)input_size);
	buffer_put(code, prefix, sizeof(prefix));
}

static void put_text(struct buffer *code, const char *text, size_t size)
{
	buffer_put(code, text, size);
	buffer_put(code, "", 1);
}

void shell_code_put(struct buffer *code, const char *text)
{
	put_prefix(code, AGENT_SHELL_COMMAND, 0);
	put_text(code, text, strlen(text));
}

static int refuse_nul(const char *key, struct error *err)
{
	return error_set(err, EXECUTE_REQUEST_INVALID, "The field '%s' must not hold the character NUL.", key);
}

static int put_arguments(const json_t *arguments, struct buffer *code, struct error *err)
{
	static const char key[] = "execCommandAndArgs";
	const size_t n = json_array_size(arguments);

	if (!json_is_array(arguments) || n == 0 || n > AGENT_SHELL_ARGUMENTS_MAX)
		return error_set(err, EXECUTE_REQUEST_INVALID,
				 "The field '%s' must be an array of 1 to %d texts: a program and its arguments.", key,
				 AGENT_SHELL_ARGUMENTS_MAX);
	for (size_t i = 0; i < n; i++) {
		const json_t *argument = json_array_get(arguments, i);
		const char *text = json_string_value(argument);
		const size_t size = json_string_length(argument);

		if (!text)
			return error_set(err, EXECUTE_REQUEST_INVALID, "The field '%s' must hold texts alone.", key);
		if (memchr(text, '\0', size))
			return refuse_nul(key, err);
		if (i == 0 && size == 0)
			return error_set(err, EXECUTE_REQUEST_INVALID, "The field '%s' must begin with a program.",
					 key);
		put_text(code, text, size);
	}
	return 0;
}

static int put_command(const struct text *command, struct buffer *code, struct error *err)
{
	if (memchr(command->data, '\0', command->size))
		return refuse_nul("shellCommand", err);
	put_text(code, command->data, command->size);
	return 0;
}

int shell_code_read(const json_t *fields, struct buffer *code, struct error *err)
{
	const json_t *arguments = json_find(fields, "execCommandAndArgs");
	struct text command = { 0 }, input = { 0 };
	int rc;

	if (json_get_text(fields, "shellCommand", &command.data, &command.size, err) < 0 ||
	    json_get_text(fields, "stdin", &input.data, &input.size, err) < 0) {
		err->code = EXECUTE_REQUEST_INVALID;
		return -err->code;
	}
	if (!command.data && !arguments)
		return error_set(err, EXECUTE_REQUEST_NO_CODE,
				 "One of the fields " SHELL_CODE_FIELDS " is required in the request.");
	if (command.data && arguments)
		return error_set(err, EXECUTE_REQUEST_INVALID,
				 "Only one of the fields " SHELL_CODE_FIELDS " may be in the request.");
	if (input.size > AGENT_CODE_MAX)
		return error_set(err, EXECUTE_REQUEST_TOO_LARGE, "The field 'stdin' is larger than %d bytes.",
				 AGENT_CODE_MAX);
	put_prefix(code, command.data ? AGENT_SHELL_COMMAND : AGENT_SHELL_ARGUMENTS, input.size);
	buffer_put(code, input.data, input.size);
	rc = command.data ? put_command(&command, code, err) : put_arguments(arguments, code, err);
	if (rc < 0)
		return rc;
	if (code->failed)
		return error_set(err, EXECUTE_REQUEST_TOO_LARGE, "There is no memory for the command.");
	if (code->size > AGENT_CODE_MAX)
		return error_set(err, EXECUTE_REQUEST_TOO_LARGE, "The command is larger than %d bytes, stdin included.",
				 AGENT_CODE_MAX - AGENT_SHELL_PREFIX);
	return 0;
}
