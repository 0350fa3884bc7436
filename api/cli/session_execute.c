#include "session_execute.h"
#include "common/cleanup.h"
#include "exit_status.h"
#include "interrupt.h"
#include "json.h"
#include "output.h"
#include "view.h"

#include <stdlib.h>
#include <string.h>

enum { DEFAULT_TIMEOUT_S = 60, TIMEOUT_MAX_S = 86400 }; /* the first is az's */

static const struct view_column columns[] = {
	{ "STATUS", "status", VIEW_PLAIN },
	{ "RESULT", "result.executionResult", VIEW_PLAIN },
	{ "STDOUT", "result.stdout", VIEW_PLAIN },
	{ "STDERR", "result.stderr", VIEW_PLAIN },
	{ "MILLISECONDS", "result.executionTimeInMilliseconds", VIEW_PLAIN },
	{ NULL, NULL, VIEW_PLAIN },
};

/* As in az, a text that begins with @ names a file. */
static int read_code(struct source *source, const char *code, struct error *err)
{
	return code[0] == '@' ? source_from_file(source, code + 1, NULL, err)
			      : source_from_text(source, code, NULL, err);
}

/* The last event's text is the answer that a plain call gives; the others tell what it has, as it comes. */
struct answer {
	char *text;   /* NULL if it has not come, or there is no memory for it */
	char *result; /* the value of the last expression as text, or NULL */
	struct error error;
};

static int on_event(void *context, const char *type, const char *data, size_t size)
{
	struct answer *a = context;
	json_t *body;

	if (strcmp(type, "done") == 0) {
		free(a->text);
		a->text = strndup(data, size);
		return 0;
	}
	if (strcmp(type, "result") != 0 && strcmp(type, "error") != 0)
		return 0;
	body = json_parse(data, size);
	if (strcmp(type, "error") == 0) {
		error_set(&a->error, STATUS_SERVICE, "the service gave up: %s",
			  json_string_value(json_object_get(json_object_get(body, "error"), "message"))
				  ?: "it does not say why");
	} else if (json_is_string(json_object_get(body, "text/plain"))) {
		free(a->result);
		a->result = strdup(json_string_value(json_object_get(body, "text/plain")));
	}
	json_decref(body);
	return a->error.code ? -a->error.code : 0;
}

static int print(const struct answer *a, const struct options *o, struct error *err)
{
	json_t *json = a->text ? json_parse(a->text, strlen(a->text)) : NULL;
	json_t *result = json_object_get(json, "result");
	const char *status = json_string_value(json_object_get(json, "status"));
	int ret;

	/* For the table: an integer may be too long for a json_t. */
	if (a->result && json_is_object(result))
		json_object_set_new(result, "executionResult", json_string(a->result));
	ret = view_print_text(json, a->text, columns, o->output, err);
	if (ret == 0 && !output_is_success(status))
		ret = error_set(err, STATUS_CODE_FAILED, "%s", "");
	json_decref(json);
	return ret;
}

static int call(struct service *s, const struct options *o, const struct source *source, long timeout_s,
		struct error *err)
{
	struct answer answer = { 0 };
	int ret = service_execute(s, o->session, source, timeout_s, on_event, &answer, err);

	if (answer.error.code)
		*err = answer.error;
	else if (ret < 0 && interrupt_signal())
		ret = error_set(err, STATUS_SIGNAL + interrupt_signal(), "interrupted");
	if (ret == 0)
		ret = print(&answer, o, err);
	free(answer.text);
	free(answer.result);
	return ret;
}

int session_execute(struct service *s, const struct options *o, struct error *err)
{
	const char *code = command_name(o, o->code, "the code (--code)", err);
	long timeout_s = o->timeout_s == OPTIONS_UNSET ? DEFAULT_TIMEOUT_S : o->timeout_s;
	struct source source = { 0 };
	int ret;

	if (!code)
		return -err->code;
	if (!o->session)
		return error_set(err, STATUS_USAGE, "--identifier is missing: it names the session");
	if (timeout_s < 1 || timeout_s > TIMEOUT_MAX_S)
		return error_set(err, STATUS_USAGE, "--timeout-in-seconds takes a number from 1 to %d", TIMEOUT_MAX_S);
	ret = read_code(&source, code, err);
	if (ret == 0)
		ret = call(s, o, &source, timeout_s, err);
	source_fini(&source);
	return ret;
}
