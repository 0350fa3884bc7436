#include "api/notebook_call.h"

#include "api/event_stream.h"
#include "api/execute_setup.h"
#include "api/notebook_output.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
	CALLS_MAX = 32, /* notebooks in memory, each of which may take a hundred MiB with its outputs */
};

struct notebook_call {
	struct execution execution; /* of the cell that runs */
	struct http_request *http;  /* NULL once answered, or when the client is gone */
	struct service *service;
	struct notebook_form form;
	struct notebook notebook;
	struct notebook_output output; /* of the cell that runs */
	size_t budget;                 /* bytes that outputs may still have */
	char session_guid[GUID_SIZE];  /* of the first cell's session */
	bool is_other_session; /* the one of the present cell is another, which knows nothing of the cells before */
	bool has_begun;        /* the stream */
	uv_timer_t keep_alive;
};

static unsigned int n_calls;

static void on_timer_closed(uv_handle_t *handle)
{
	struct notebook_call *c = handle->data;

	notebook_output_fini(&c->output);
	notebook_fini(&c->notebook);
	free(c->execution.code);
	free(c);
	n_calls--;
}

static void destroy(struct notebook_call *c)
{
	uv_close((uv_handle_t *)&c->keep_alive, on_timer_closed);
}

/* ---- answers ----------------------------------------------------------------------------------------------------- */

static void add_guid(struct notebook_call *c)
{
	if (c->session_guid[0])
		http_add_header(c->http, "x-ms-session-guid", c->session_guid);
}

static void send_event(struct notebook_call *c, const char *name, const struct buffer *json)
{
	if (!c->has_begun) {
		add_guid(c);
		event_stream_begin(c->http, 200);
	}
	c->has_begun = true;
	event_stream_send(c->http, name, json);
}

static void on_keep_alive(uv_timer_t *timer)
{
	struct notebook_call *c = timer->data;

	if (!c->has_begun)
		event_stream_begin(c->http, 200);
	c->has_begun = true;
	event_stream_keep_alive(c->http);
}

/* `report` NULL: it begins. */
static void tell_cell(struct notebook_call *c, const char *status, const struct execution_report *report)
{
	struct buffer json = { 0 };

	if (!c->form.as_events)
		return;
	buffer_put_format(&json, "{\"cell\":%zu,\"number\":%zu,\"of\":%zu,\"status\":\"%s\"", c->notebook.cell_index,
			  c->notebook.n_run, c->notebook.n_code_cells, status);
	if (report)
		buffer_put_format(&json, ",\"executionTimeInMilliseconds\":%llu",
				  (unsigned long long)report->ran_us / 1000);
	buffer_put_text(&json, "}");
	send_event(c, "cell", &json);
	buffer_fini(&json);
}

static void answer_error(struct notebook_call *c, unsigned int status, const char *code, const char *message)
{
	struct buffer json = { 0 };

	if (!c->has_begun && status == 503) {
		rest_error_retry(c->http, status, code, 10, message);
	} else if (!c->has_begun) {
		rest_error(c->http, status, code, "%s", message);
	} else {
		rest_put_error(&json, code, message);
		send_event(c, "error", &json);
		buffer_fini(&json);
		http_stream_end(c->http);
	}
	c->http = NULL;
}

static void respond(struct notebook_call *c, struct buffer *json, bool succeeded, long failed_cell)
{
	char number[24];

	snprintf(number, sizeof(number), "%ld", failed_cell);
	add_guid(c);
	http_add_header(c->http, "x-hearth-notebook-status", succeeded ? "Succeeded" : "Failed");
	if (!succeeded)
		http_add_header(c->http, "x-hearth-notebook-failed-cell", number);
	buffer_put_text(json, "\n");
	http_respond(c->http, 200, REST_JSON, json);
}

/* The run is over. `failed_cell` negative: it came to its end. */
static void answer(struct notebook_call *c, long failed_cell)
{
	struct buffer json = { 0 };
	bool succeeded = failed_cell < 0;

	notebook_set_status(&c->notebook, succeeded, failed_cell);
	notebook_put(&c->notebook, &json);
	if (json.failed) {
		answer_error(c, 500, "OutOfMemory", "There is no memory for the answer.");
	} else if (c->form.as_events) {
		send_event(c, "done", &json);
		http_stream_end(c->http);
	} else {
		respond(c, &json, succeeded, failed_cell);
	}
	buffer_fini(&json);
	c->http = NULL;
}

/* ---- cells ------------------------------------------------------------------------------------------------------- */

static struct notebook_call *call_of(struct execution *e)
{
	return (struct notebook_call *)e; /* its first member */
}

/* A session that ended between two cells is made anew by the next, which would go on without their variables. */
static void on_started(struct execution *e)
{
	struct notebook_call *c = call_of(e);

	if (!c->session_guid[0])
		memcpy(c->session_guid, e->start.session_guid, sizeof(c->session_guid));
	c->is_other_session = strcmp(c->session_guid, e->start.session_guid) != 0;
	if (c->is_other_session)
		execution_cancel(e);
	else
		tell_cell(c, "Running", NULL);
}

static void on_output(struct execution *e, enum agent_frame_type stream, const uint8_t *data, size_t size)
{
	notebook_output_stream(&call_of(e)->output, stream, data, size);
}

static void on_display(struct execution *e, const struct mime_bundle *bundle, bool is_result)
{
	notebook_output_display(&call_of(e)->output, bundle, is_result);
}

static void on_finished(struct execution *e, const struct execution_report *report);

static const struct execution_events execution_events = {
	.started = on_started,
	.output = on_output,
	.display = on_display,
	.finished = on_finished,
};

/* Makes the next cell's code the execution. 1, 0 if no cell is left, or -ENOMEM. */
static int prepare_cell(struct notebook_call *c, struct pool *pool)
{
	struct execute_call_form form = { .family = EXECUTE_NEW };
	struct execute_request request = {
		.language = c->form.language,
		.timeout_s = c->form.timeout_s,
		.return_error_data = true,
	};
	struct execute_answer unused = { 0 };
	struct buffer code = { 0 };

	if (!notebook_begin_cell(&c->notebook, &code))
		return 0;
	if (code.failed)
		return -ENOMEM;
	free(c->execution.code);
	c->execution = (struct execution) { 0 };
	request.code = code.data;
	request.code_size = code.size;
	execute_setup(c->service, pool, &form, c->form.identifier, &request, &c->execution, &unused);
	c->execution.events = &execution_events;
	notebook_output_begin(&c->output, &c->budget, c->notebook.n_run, c->execution.output_limit);
	return 1;
}

/* Puts the cell's outputs in place. False, after an answer was given, if there is no memory. */
static bool end_cell(struct notebook_call *c)
{
	json_t *outputs = notebook_output_take(&c->output);

	if (!outputs) {
		answer_error(c, 500, "OutOfMemory", "There is no memory for the outputs of the notebook.");
		return false;
	}
	notebook_set_outputs(&c->notebook, outputs);
	return true;
}

static void answer_no_cell(struct notebook_call *c, int rc)
{
	if (rc == 0)
		answer(c, -1);
	else
		answer_error(c, 500, "OutOfMemory", "There is no memory for the next cell's code.");
}

/* Runs the next cell, or answers if there is none or it cannot be run. */
static void go_on(struct notebook_call *c)
{
	struct pool *pool = pools_find(c->service->pools, c->http->pool);
	struct error err = { 0 };
	int rc;

	if (!pool) {
		answer_error(c, 404, "ResourceNotFound", "The session pool was deleted while the notebook ran.");
		return;
	}
	rc = prepare_cell(c, pool);
	if (rc <= 0) {
		answer_no_cell(c, rc);
		return;
	}
	c->execution.is_admitted = true; /* all cells are one request */
	rc = sessions_execute(pool_sessions(pool), c->form.identifier, &c->execution, &err);
	if (rc == 0)
		return;
	/* What the cells before gave is not thrown away. */
	notebook_output_error(&c->output, "ExecutionRefused", err.text);
	if (end_cell(c))
		answer(c, (long)c->notebook.cell_index);
}

static void take_end(struct notebook_call *c, const struct execution_report *report)
{
	enum notebook_cell_end end = NOTEBOOK_CELL_LOST;
	bool goes_on;

	if (c->is_other_session)
		notebook_output_error(
			&c->output, "SessionLost",
			"The session ended before this cell; the variables of the cells before are lost.");
	else
		end = notebook_output_finish(&c->output, report);
	if (!end_cell(c))
		return;
	tell_cell(c, end == NOTEBOOK_CELL_SUCCEEDED ? "Succeeded" : "Failed", report);
	goes_on = end == NOTEBOOK_CELL_SUCCEEDED ||
		  (end == NOTEBOOK_CELL_FAILED && (c->form.allow_errors || notebook_cell_may_fail(&c->notebook)));
	if (goes_on)
		go_on(c);
	else
		answer(c, (long)c->notebook.cell_index);
}

static void on_finished(struct execution *e, const struct execution_report *report)
{
	struct notebook_call *c = call_of(e);
	char message[AGENT_SENTENCE_MAX];

	if (!c->http) {
		/* The client is gone. */
	} else if (report->end == EXECUTION_NOT_STARTED && c->notebook.n_run == 1) {
		snprintf(message, sizeof(message), "The session could not be started: %s", report->sentence);
		answer_error(c, 500, "SessionAllocationFailed", message);
	} else if (report->end == EXECUTION_STOPPING) {
		answer_error(c, 503, "ServiceStopping", "The service is stopping.");
	} else {
		take_end(c, report);
	}
	if (!c->http)
		destroy(c);
}

/* The client hung up. */
static void on_gone(struct http_request *r)
{
	struct notebook_call *c = r->owner;

	c->http = NULL;
	uv_timer_stop(&c->keep_alive);
	if (execution_cancel(&c->execution))
		destroy(c);
}

/* ---- start ------------------------------------------------------------------------------------------------------- */

static struct notebook_call *create(struct service *service, struct http_request *r, const struct notebook_form *form,
				    struct notebook *notebook)
{
	struct notebook_call *c = calloc(1, sizeof(*c));

	if (!c)
		return NULL;
	c->http = r;
	c->service = service;
	c->form = *form;
	c->notebook = *notebook;
	*notebook = (struct notebook) { 0 };
	c->budget = NOTEBOOK_OUTPUT_BYTES_MAX;
	uv_timer_init(service->loop, &c->keep_alive);
	c->keep_alive.data = c;
	n_calls++;
	return c;
}

static void start_first_cell(struct notebook_call *c, struct pool *pool)
{
	int rc = prepare_cell(c, pool);
	struct error err = { 0 };

	if (rc <= 0) {
		answer_no_cell(c, rc);
		destroy(c);
		return;
	}
	if (sessions_execute(pool_sessions(pool), c->form.identifier, &c->execution, &err) < 0) {
		execute_refuse(c->http, pool, &err);
		destroy(c);
		return;
	}
	c->http->owner = c;
	c->http->gone = on_gone;
	http_release_body(c->http);
	/* The stream is not begun before the first cell: until then a failure is a plain answer. */
	if (c->form.as_events)
		uv_timer_start(&c->keep_alive, on_keep_alive, EVENT_STREAM_KEEP_ALIVE_MS, EVENT_STREAM_KEEP_ALIVE_MS);
}

void notebook_call_start(struct service *service, struct pool *pool, struct http_request *r,
			 const struct notebook_form *form, struct notebook *notebook)
{
	struct notebook_call *c;

	if (n_calls >= CALLS_MAX) {
		rest_error_retry(r, 503, "ServiceBusy", 5, "Too many notebooks are being run.");
		return;
	}
	c = create(service, r, form, notebook);
	if (c)
		start_first_cell(c, pool);
	else
		rest_error(r, 500, "OutOfMemory", "There is no memory for this request.");
}
