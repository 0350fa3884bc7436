#include "api/execute_request.h"

#include "api/json.h"
#include "api/shell_code.h"
#include "api/utf8.h"
#include "common/base64.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum code_input_type { INLINE_TEXT, INLINE_BASE64 };

struct word {
	const char *name;
	int value;
};

static const struct word input_types[] = {
	{ "inline", INLINE_TEXT },
	{ "inlineText", INLINE_TEXT },
	{ "inlineBase64", INLINE_BASE64 },
	{ NULL, 0 },
};

static const struct word languages[] = {
	{ "python", AGENT_PYTHON },
	{ "node", AGENT_NODE },
	{ "nodejs", AGENT_NODE },
	{ "javascript", AGENT_NODE },
	{ NULL, 0 },
};

static const struct word execution_types[] = {
	{ "synchronous", false },
	{ "asynchronous", true },
	{ NULL, 0 },
};

/* Reads a field that holds one of `words`, in any case; *value stays if it is missing. */
static int get_word(const json_t *fields, const char *key, const struct word *words, int *value, struct error *err)
{
	const char *text = NULL;
	int rc = json_get_text(fields, key, &text, NULL, err);

	if (rc < 0 || !text)
		return rc;
	for (; words->name; words++) {
		if (strcasecmp(words->name, text) == 0) {
			*value = words->value;
			return 0;
		}
	}
	return error_set(err, EXECUTE_REQUEST_INVALID, "The field '%s' has a value that is not known.", key);
}

static int take_code(struct execute_request *request, const char *text, size_t size, enum code_input_type type,
		     struct error *err)
{
	struct buffer code = { 0 };

	if (type == INLINE_BASE64) {
		ssize_t n_bytes = buffer_reserve(&code, base64_decoded_size_max(size))
					  ? base64_decode(text, size, (uint8_t *)code.data)
					  : 0;

		if (n_bytes < 0 || !utf8_is_valid(code.data, (size_t)n_bytes)) {
			buffer_fini(&code);
			return error_set(err, EXECUTE_REQUEST_INVALID, "The field 'code' is not base64 of UTF-8.");
		}
		code.size = (size_t)n_bytes;
	} else {
		buffer_put(&code, text, size);
	}
	if (code.failed)
		return error_set(err, EXECUTE_REQUEST_TOO_LARGE, "There is no memory for the code.");
	request->code = code.data;
	request->code_size = code.size;
	if (code.size > AGENT_CODE_MAX)
		return error_set(err, EXECUTE_REQUEST_TOO_LARGE, "The code is larger than %d bytes.", AGENT_CODE_MAX);
	return 0;
}

static int parse_code(struct execute_request *request, const json_t *fields, struct error *err)
{
	const char *text = NULL;
	size_t size = 0;
	int type = INLINE_TEXT;

	if (get_word(fields, "codeInputType", input_types, &type, err) < 0 ||
	    json_get_text(fields, "code", &text, &size, err) < 0)
		return -1;
	if (!text && json_get_text(fields, "pythonCode", &text, &size, err) < 0)
		return -1;
	if (!text)
		return error_set(err, EXECUTE_REQUEST_NO_CODE, "The field 'code' is required in the request.");
	return take_code(request, text, size, (enum code_input_type)type, err);
}

int execute_request_take_command(struct execute_request *request, const json_t *fields, struct error *err)
{
	struct buffer code = { 0 };
	int rc = shell_code_read(fields, &code, err);

	request->code = code.data;
	request->code_size = code.size;
	return rc;
}

/* Three are of 2025-10-02-preview (one of them has two names in its specification), the others Hearth's. */
static int parse_switches(struct execute_request *request, const json_t *fields, struct error *err)
{
	const struct {
		const char *key;
		bool *value;
	} switches[] = {
		{ "returnDisplayData", &request->return_display_data },
		{ "returnErrorData", &request->return_error_data },
		{ "returnJupyterFormat", &request->return_jupyter_format },
		{ "returnJupyterFormatExecutionResult", &request->return_jupyter_format },
		{ "useEmptyKernel", &request->use_empty_kernel },
		{ "leaveNoTrace", &request->leave_no_trace },
	};

	for (size_t i = 0; i < sizeof(switches) / sizeof(switches[0]); i++)
		if (json_get_bool(fields, switches[i].key, switches[i].value, err) < 0)
			return -1;
	return 0;
}

/* What to run. Of a command's request all that makes sense for code alone is passed over, as Azure's SDKs send it. */
static int parse_what(struct execute_request *request, bool is_shell, const json_t *fields, struct error *err)
{
	int language = 0;

	if (is_shell) {
		request->language = AGENT_SHELL;
		return execute_request_take_command(request, fields, err);
	}
	if (parse_code(request, fields, err) < 0 || get_word(fields, "language", languages, &language, err) < 0)
		return -1;
	request->language = (enum agent_language)language;
	return 0;
}

static int parse_fields(struct execute_request *request, bool is_shell, const json_t *fields, struct error *err)
{
	const char *identifier = NULL;
	int is_asynchronous = 0;

	if (get_word(fields, "executionType", execution_types, &is_asynchronous, err) < 0 ||
	    parse_what(request, is_shell, fields, err) < 0 ||
	    json_get_integer(fields, "timeoutInSeconds", &request->timeout_s, err) < 0 ||
	    json_get_integer(fields, "outputStreamsMaxLength", &request->output_limit, err) < 0 ||
	    parse_switches(request, fields, err) < 0 || json_get_text(fields, "identifier", &identifier, NULL, err) < 0)
		return -1;
	request->is_asynchronous = is_asynchronous;
	request->identifier = identifier ? strdup(identifier) : NULL;
	return 0;
}

int execute_request_parse(struct execute_request *request, bool is_shell, const char *body, size_t size,
			  struct error *err)
{
	json_t *root, *wrapped;
	int rc;

	*request = (struct execute_request) { 0 };
	root = json_parse(body, size, err);
	if (!root)
		return error_set(err, EXECUTE_REQUEST_MALFORMED, "The body is not JSON: %s.", strdupa(err->text));
	wrapped = json_find(root, "properties");
	if (!json_is_object(root))
		rc = error_set(err, EXECUTE_REQUEST_INVALID, "The body must be a JSON object.");
	else if (wrapped && !json_is_object(wrapped))
		rc = error_set(err, EXECUTE_REQUEST_INVALID, "The field 'properties' must be an object.");
	else
		rc = parse_fields(request, is_shell, wrapped ? wrapped : root, err);
	/* The getters know no kinds of answers. */
	if (rc < 0 && err->code < EXECUTE_REQUEST_MALFORMED)
		err->code = EXECUTE_REQUEST_INVALID;
	json_decref(root);
	return rc;
}

void execute_request_fini(struct execute_request *request)
{
	free(request->code);
	free(request->identifier);
	*request = (struct execute_request) { 0 };
}
