/* Tools that run code: an execution as any other, whose answer is the tool's result. */
#include "api/execute_setup.h"
#include "api/json.h"
#include "api/json_text.h"
#include "api/mcp_tool.h"
#include "common/base64.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct mcp_execution {
	struct execution execution;
	struct execute_answer answer;
	struct mcp_exchange *exchange; /* NULL when its client is gone */
	struct mcp_result result;      /* what was displayed */
};

static struct mcp_execution *execution_of(struct execution *e)
{
	return (struct mcp_execution *)e; /* its first member */
}

static void destroy(struct mcp_execution *m)
{
	execute_answer_fini(&m->answer);
	mcp_result_fini(&m->result);
	free(m->execution.code);
	free(m);
}

/* ---- what is displayed ------------------------------------------------------------------------------------------- */

static void put_image(struct mcp_result *result, const struct mime_entry *image)
{
	size_t size = base64_encoded_size(image->size);

	mcp_result_begin_item(result, "image");
	buffer_put_text(&result->content, "\"data\":\"");
	if (buffer_reserve(&result->content, size)) {
		base64_encode(image->data, image->size, result->content.data + result->content.size);
		result->content.size += size;
	}
	buffer_put_text(&result->content, "\",\"mimeType\":");
	json_put_text(&result->content, image->type);
	mcp_result_end_item(result);
}

/* Counts what is kept as execute_answer_display() does. False if it is too much. */
static bool has_room(struct execute_answer *a, size_t size)
{
	if (size > EXECUTE_DISPLAY_MAX - a->n_display) {
		a->n_display_cut += size;
		return false;
	}
	a->n_display += size;
	return true;
}

/* The value of the last expression is the answer's; pictures and texts that are displayed are items of their own. */
static void on_display(struct execution *e, const struct mime_bundle *bundle, bool is_result)
{
	struct mcp_execution *m = execution_of(e);
	const struct mime_entry *image = mime_bundle_image(bundle);
	const struct mime_entry *text = mime_bundle_find(bundle, "text/plain");

	if (image && has_room(&m->answer, image->size))
		put_image(&m->result, image);
	else if (!image && is_result)
		execute_answer_display(&m->answer, bundle, is_result, NULL);
	else if (!image && text && has_room(&m->answer, text->size))
		mcp_result_text(&m->result, text->data, text->size);
}

static void on_output(struct execution *e, enum agent_frame_type stream, const uint8_t *data, size_t size)
{
	execute_answer_output(&execution_of(e)->answer, stream, data, size);
}

static void on_started(struct execution *e)
{
	(void)e;
}

/* ---- the end ----------------------------------------------------------------------------------------------------- */

static bool is_command(const struct mcp_execution *m)
{
	return m->execution.language == AGENT_SHELL;
}

static void put_item(struct mcp_result *result, const char *text)
{
	mcp_result_text(result, text, strlen(text));
}

/* In the order in which a person would read it: output, what was displayed, the value, what went wrong. */
static void put_content(struct mcp_execution *m, const struct execution_report *report, struct mcp_result *result)
{
	char status[32];
	const struct execute_answer *a = &m->answer;
	const struct buffer *out = &a->streams[0].text, *errors = &a->streams[1].text;

	if (out->size)
		mcp_result_text(result, out->data, out->size);
	if (m->result.content.size) {
		buffer_put_text(&result->content, result->content.size ? "," : "");
		buffer_put(&result->content, m->result.content.data, m->result.content.size);
	}
	result->content.failed |= m->result.content.failed;
	buffer_fini(&m->result.content);
	if (a->value.size && a->value.data[0] == '"') {
		/* It is JSON already: a text is the item's. */
		mcp_result_begin_item(result, "text");
		buffer_put_text(&result->content, "\"text\":");
		buffer_put(&result->content, a->value.data, a->value.size);
		mcp_result_end_item(result);
	} else if (a->value.size) {
		mcp_result_text(result, a->value.data, a->value.size);
	}
	if (errors->size)
		mcp_result_text(result, errors->data, errors->size);
	if (is_command(m) && execution_came_to_end(report) && report->exit_status != 0) {
		snprintf(status, sizeof(status), "Exit status: %u", report->exit_status);
		put_item(result, status);
	}
	if (result->content.size == 0)
		put_item(result,
			 is_command(m) ? "The command ran and wrote nothing." : "The code ran and wrote nothing.");
}

static void put_members(const struct mcp_execution *m, const struct execution_report *report, struct mcp_result *result)
{
	const struct execute_answer *a = &m->answer;
	struct buffer *json = &result->members;

	mcp_result_begin_member(result, "environmentId");
	json_put_text(json, a->identifier);
	mcp_result_begin_member(result, "stdout");
	json_put_string(json, a->streams[0].text.data, a->streams[0].text.size);
	mcp_result_begin_member(result, "stderr");
	json_put_string(json, a->streams[1].text.data, a->streams[1].text.size);
	mcp_result_begin_member(result, is_command(m) ? "exitCode" : "result");
	if (is_command(m) && execution_came_to_end(report))
		buffer_put_format(json, "%u", report->exit_status);
	else if (a->value.size)
		buffer_put(json, a->value.data, a->value.size);
	else
		buffer_put_text(json, "null");
	mcp_result_begin_member(result, "executionTimeInMilliseconds");
	buffer_put_format(json, "%llu", (unsigned long long)report->ran_us / 1000);
	mcp_result_begin_member(result, "isNewEnvironment");
	buffer_put_text(json, m->execution.start.is_new_session ? "true" : "false");
	json->failed |= a->streams[0].text.failed | a->streams[1].text.failed | a->value.failed;
}

static void respond(struct mcp_execution *m, const struct execution_report *report)
{
	struct mcp_result result = { 0 };

	execute_answer_finish(&m->answer, report);
	put_members(m, report, &result);
	put_content(m, report, &result);
	/* That a command's status is not 0 need not be a failure: it may be its answer, as grep's. */
	mcp_result_reply(m->exchange, &result,
			 !execution_came_to_end(report) || (report->outcome != AGENT_OK && !is_command(m)));
}

static void on_finished(struct execution *e, const struct execution_report *report)
{
	struct mcp_execution *m = execution_of(e);

	if (!m->exchange) {
		/* The client is gone. */
	} else if (report->end == EXECUTION_NOT_STARTED) {
		mcp_tool_fail(m->exchange, "The environment could not be started: %s", report->sentence);
	} else if (report->end == EXECUTION_STOPPING) {
		mcp_tool_fail(m->exchange, "The service is stopping.");
	} else {
		respond(m, report);
	}
	destroy(m);
}

static const struct execution_events execution_events = {
	.started = on_started,
	.output = on_output,
	.display = on_display,
	.finished = on_finished,
};

static void on_gone(void *call)
{
	struct mcp_execution *m = call;

	m->exchange = NULL;
	if (execution_cancel(&m->execution))
		destroy(m);
}

/* ---- start ------------------------------------------------------------------------------------------------------- */

/* False after an answer was given. */
static bool read_command(struct mcp_exchange *x, const json_t *arguments, struct execute_request *request)
{
	struct error err = { 0 };

	if (execute_request_take_command(request, arguments, &err) == 0)
		return true;
	mcp_tool_fail(x, "%s", err.text);
	return false;
}

/* False after an answer was given. */
static bool read_code(struct mcp_exchange *x, const struct mcp_tool *tool, const json_t *arguments,
		      struct execute_request *request)
{
	const char *key = tool->needs_launch ? "pythonCode" : "code", *code = NULL;
	struct error err = { 0 };

	if (json_get_text(arguments, key, &code, &request->code_size, &err) < 0) {
		mcp_tool_fail(x, "%s", err.text);
		return false;
	}
	if (!code || request->code_size > AGENT_CODE_MAX) {
		if (code)
			mcp_tool_fail(x, "The code is larger than %d bytes.", AGENT_CODE_MAX);
		else
			mcp_tool_fail(x, "The field '%s' is missing: it is the code to run.", key);
		return false;
	}
	request->code = malloc(request->code_size + 1);
	if (request->code)
		memcpy(request->code, code, request->code_size + 1);
	else
		mcp_tool_fail(x, "There is no memory for this request.");
	return request->code;
}

/* Fills *request. False after an answer was given. */
static bool read_arguments(struct mcp_exchange *x, const struct mcp_tool *tool, const json_t *arguments,
			   struct execute_request *request)
{
	struct error err = { 0 };

	request->language = tool->language;
	if (json_get_integer(arguments, "timeoutInSeconds", &request->timeout_s, &err) < 0) {
		mcp_tool_fail(x, "%s", err.text);
		return false;
	}
	return tool->language == AGENT_SHELL ? read_command(x, arguments, request)
					     : read_code(x, tool, arguments, request);
}

void mcp_execute(struct mcp_exchange *x, const struct mcp_tool *tool, const json_t *arguments)
{
	static const struct execute_call_form form = { .family = EXECUTE_NEW };
	struct execute_request request = { 0 };
	char id[REST_IDENTIFIER_MAX + 1];
	struct pool *pool = mcp_tool_pool(x);
	struct error err = { 0 };
	struct mcp_execution *m;

	if (!pool || !mcp_tool_environment(x, tool, arguments, id))
		return;
	if (!read_arguments(x, tool, arguments, &request)) {
		execute_request_fini(&request);
		return;
	}
	m = calloc(1, sizeof(*m));
	if (!m) {
		execute_request_fini(&request);
		mcp_tool_fail(x, "There is no memory for this request.");
		return;
	}
	execute_setup(x->service, pool, &form, id, &request, &m->execution, &m->answer);
	m->execution.events = &execution_events;
	m->exchange = x;
	if (sessions_execute(pool_sessions(pool), id, &m->execution, &err) < 0) {
		destroy(m);
		mcp_tool_fail(x, "The environment cannot be used now: %s", err.text);
		return;
	}
	mcp_environment_used(&x->service->mcp_environments, x->pool, id);
	x->call = m;
	x->gone = on_gone;
}
