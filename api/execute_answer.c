#include "api/execute_answer.h"

#include "common/base64.h"
#include "api/error_data.h"
#include "api/json_text.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* The text that clients of the API look for. */
#define TIMED_OUT "Request timed out waiting for code execution to complete"

static struct execute_stream *stream_of(struct execute_answer *a, enum agent_frame_type stream)
{
	return &a->streams[stream == AGENT_STDERR];
}

void execute_answer_fini(struct execute_answer *a)
{
	buffer_fini(&a->streams[0].text);
	buffer_fini(&a->streams[1].text);
	buffer_fini(&a->value);
	buffer_fini(&a->displays);
	buffer_fini(&a->result_data);
	buffer_fini(&a->error_data);
}

void execute_answer_output(struct execute_answer *a, enum agent_frame_type stream, const uint8_t *data, size_t size)
{
	struct execute_stream *s = stream_of(a, stream);

	utf8_decode(&s->decoder, data, size, &s->text);
}

struct execute_piece execute_answer_news(struct execute_answer *a, enum agent_frame_type stream)
{
	struct execute_stream *s = stream_of(a, stream);
	struct execute_piece piece = { s->text.data ? s->text.data + s->n_told : "", s->text.size - s->n_told };

	s->n_told = s->text.size;
	return piece;
}

/* ---- display data ------------------------------------------------------------------------------------------------ */

static void put_base64(struct buffer *json, const struct mime_entry *entry)
{
	const size_t size = base64_encoded_size(entry->size);

	buffer_put_text(json, "\"");
	if (buffer_reserve(json, size)) {
		base64_encode(entry->data, entry->size, json->data + json->size);
		json->size += size;
	}
	buffer_put_text(json, "\"");
}

static void put_bundle(struct buffer *json, const struct mime_bundle *bundle)
{
	buffer_put_text(json, "{");
	for (size_t i = 0; i < bundle->n_entries; i++) {
		const struct mime_entry *entry = &bundle->entries[i];

		if (i)
			buffer_put_text(json, ",");
		json_put_text(json, entry->type);
		buffer_put_text(json, ":");
		if (mime_type_is_text(entry->type))
			json_put_bytes(json, entry->data, entry->size);
		else
			put_base64(json, entry);
	}
	buffer_put_text(json, "}");
}

static void take_image(struct execute_answer *a, const struct mime_entry *image)
{
	buffer_fini(&a->value);
	buffer_put_text(&a->value, "{\"type\":\"image\",\"format\":");
	json_put_text(&a->value, image->type + strlen("image/"));
	buffer_put_text(&a->value, ",\"base64_data\":");
	put_base64(&a->value, image);
	buffer_put_text(&a->value, "}");
	a->value_is_image = true;
}

/* The value of the last expression: a scalar as it is, anything else by its text. */
static void take_value(struct execute_answer *a, const struct mime_bundle *bundle)
{
	const struct mime_entry *scalar = mime_bundle_find(bundle, AGENT_MIME_SCALAR);
	const struct mime_entry *text = mime_bundle_find(bundle, "text/plain");
	struct buffer json = { 0 };

	/* A scalar that is none is the guest's lie about itself: its text serves. */
	if (scalar && !a->jupyter_format && json_put_scalar(&json, (const char *)scalar->data, scalar->size) == 0) {
		if (a->result_as_text && json.size && json.data[0] != '"') {
			buffer_fini(&json);
			json_put_string(&json, (const char *)scalar->data, scalar->size);
		}
	} else if (text) {
		json_put_bytes(&json, text->data, text->size);
	}
	buffer_fini(&a->value);
	a->value = json;
}

static size_t bundle_size(const struct mime_bundle *bundle)
{
	size_t size = 0;

	for (size_t i = 0; i < bundle->n_entries; i++)
		size += bundle->entries[i].size + strlen(bundle->entries[i].type);
	return size;
}

/* False if the bundle is no exception. */
static bool take_error(struct execute_answer *a, const struct mime_bundle *bundle, struct buffer *json)
{
	struct buffer text = { 0 };

	if (!error_data_put(&text, bundle))
		return false;
	if (json)
		buffer_put(json, text.data, text.size);
	buffer_fini(&a->error_data);
	a->error_data = text;
	return true;
}

const char *execute_answer_display(struct execute_answer *a, const struct mime_bundle *bundle, bool is_result,
				   struct buffer *json)
{
	const struct mime_entry *image = mime_bundle_image(bundle);
	size_t size = bundle_size(bundle);

	if (size > EXECUTE_DISPLAY_MAX - a->n_display) {
		a->n_display_cut += size;
		return NULL;
	}
	a->n_display += size;
	if (a->with_error_data && !is_result && take_error(a, bundle, json))
		return "exception";
	if (image && !(is_result && a->jupyter_format))
		take_image(a, image);
	else if (is_result && (a->jupyter_format || !a->value_is_image))
		take_value(a, bundle);
	if (json)
		put_bundle(json, bundle);
	if (a->with_display_data && is_result) {
		put_bundle(&a->result_data, bundle);
	} else if (a->with_display_data) {
		put_bundle(&a->displays, bundle);
		buffer_put_text(&a->displays, ",");
	}
	return is_result ? "result" : "display";
}

/* ---- the end ----------------------------------------------------------------------------------------------------- */

/* Appends a line of ours to a stream, on a line of its own. */
static void put_line(struct execute_answer *a, enum agent_frame_type stream, const char *format, ...)
	__attribute__((format(printf, 3, 4)));
static void put_line(struct execute_answer *a, enum agent_frame_type stream, const char *format, ...)
{
	struct execute_stream *s = stream_of(a, stream);
	char line[AGENT_STREAM_CHUNK_MAX / 16];
	va_list args;
	int length;

	utf8_decode_end(&s->decoder, &s->text);
	if (s->text.size && s->text.data[s->text.size - 1] != '\n')
		buffer_put_text(&s->text, "\n");
	va_start(args, format);
	length = vsnprintf(line, sizeof(line), format, args);
	va_end(args);
	utf8_decode(&s->decoder, line, length < (int)sizeof(line) ? (size_t)length : sizeof(line) - 1, &s->text);
	utf8_decode_end(&s->decoder, &s->text);
}

static void put_cut(struct execute_answer *a, enum agent_frame_type stream, uint64_t n_cut)
{
	if (n_cut)
		put_line(a, stream, "[hearth: %llu bytes of output cut; limit %llu]\n", (unsigned long long)n_cut,
			 (unsigned long long)a->output_limit);
}

static void put_aborted(struct execute_answer *a, const struct execution_report *report, const char *lost)
{
	put_line(a, AGENT_STDERR, "Execution aborted: %s%s\n", report->sentence, lost);
}

static void put_outcome(struct execute_answer *a, const struct execution_report *report)
{
	switch (report->outcome) {
	case AGENT_OK:
	case AGENT_ERROR:
		/* The interpreter was replaced before this execution, whose own state is not lost. */
		if (report->state_lost)
			put_line(a, AGENT_STDERR, "[hearth: %s]\n", report->sentence);
		break;
	case AGENT_TIMEOUT:
		if (report->state_lost)
			put_line(a, AGENT_STDERR,
				 "[hearth: the interpreter was replaced; the session's variables "
				 "are lost]\n");
		put_line(a, AGENT_STDERR, TIMED_OUT);
		break;
	case AGENT_LOST:
		put_aborted(a, report, "; the session's variables are lost");
		break;
	case AGENT_INTERRUPTED:
	case AGENT_REFUSED:
		put_aborted(a, report, "");
		break;
	}
}

void execute_answer_finish(struct execute_answer *a, const struct execution_report *report)
{
	utf8_decode_end(&a->streams[0].decoder, &a->streams[0].text);
	utf8_decode_end(&a->streams[1].decoder, &a->streams[1].text);
	put_cut(a, AGENT_STDOUT, report->stdout_cut_bytes);
	put_cut(a, AGENT_STDERR, report->stderr_cut_bytes);
	if (a->n_display_cut)
		put_line(a, AGENT_STDERR, "[hearth: %llu bytes of display data cut; limit %d]\n",
			 (unsigned long long)a->n_display_cut, EXECUTE_DISPLAY_MAX);
	if (report->loss_before)
		put_line(a, AGENT_STDERR,
			 "[hearth: the session's earlier variables were lost when an execution whose client had "
			 "gone was ended]\n");
	if (report->end == EXECUTION_RAN)
		put_outcome(a, report);
	else
		put_aborted(a, report,
			    a->family == EXECUTE_COMMAND ? "; the session's files are lost"
							 : "; the session's files and variables are lost");
	if (report->end == EXECUTION_TIMED_OUT)
		put_line(a, AGENT_STDERR, TIMED_OUT);
}

static bool has_timed_out(const struct execution_report *report)
{
	return report->end == EXECUTION_TIMED_OUT || (report->end == EXECUTION_RAN && report->outcome == AGENT_TIMEOUT);
}

static bool succeeded(const struct execution_report *report)
{
	return report->end == EXECUTION_RAN && report->outcome == AGENT_OK;
}

static void put_member_or_null(struct buffer *json, const char *before, const struct buffer *value)
{
	buffer_put_text(json, before);
	if (value->size)
		buffer_put(json, value->data, value->size);
	else
		buffer_put_text(json, "null");
}

static void put_streams(const struct execute_answer *a, struct buffer *json)
{
	buffer_put_text(json, "\"stdout\":");
	json_put_string(json, a->streams[0].text.data, a->streams[0].text.size);
	buffer_put_text(json, ",\"stderr\":");
	json_put_string(json, a->streams[1].text.data, a->streams[1].text.size);
}

/* The members that the families of code have, from stdout on. */
static void put_members(const struct execute_answer *a, const struct execution_report *report, const char *result_key,
			struct buffer *json)
{
	put_streams(a, json);
	buffer_put_format(json, ",\"%s\":", result_key);
	if (a->value.size)
		buffer_put(json, a->value.data, a->value.size);
	else
		buffer_put_text(json, a->jupyter_format ? "null" : "\"\"");
	buffer_put_format(json, ",\"executionTimeInMilliseconds\":%llu", (unsigned long long)report->ran_us / 1000);
	if (a->with_display_data) {
		buffer_put_text(json, ",\"displayData\":[");
		buffer_put(json, a->displays.data, a->displays.size ? a->displays.size - 1 : 0);
		put_member_or_null(json, "],\"resultData\":", &a->result_data);
	}
	if (a->with_error_data)
		put_member_or_null(json, ",\"errorData\":", &a->error_data);
}

static bool is_whole(const struct execute_answer *a)
{
	return !a->streams[0].text.failed && !a->streams[1].text.failed && !a->value.failed && !a->displays.failed &&
	       !a->result_data.failed && !a->error_data.failed;
}

/* The members before the result, of all but the legacy family. */
static void put_head(const struct execute_answer *a, const char *status, struct buffer *json)
{
	/* Azure's shell pools answer without these two; only who is to ask again needs the id. */
	bool is_long = a->family != EXECUTE_COMMAND || a->is_asynchronous;

	buffer_put_text(json, "{");
	if (is_long) {
		buffer_put_text(json, "\"id\":");
		json_put_text(json, a->id);
		buffer_put_text(json, ",");
	}
	buffer_put_text(json, "\"identifier\":");
	json_put_text(json, a->identifier);
	if (is_long)
		buffer_put_format(json, ",\"executionType\":\"%s\"",
				  a->is_asynchronous ? "asynchronous" : "synchronous");
	buffer_put_format(json, ",\"status\":\"%s\"", status);
}

/* Clients make a number of the status: it is never a word. What did not come to its end has -1. */
static void put_command(const struct execute_answer *a, const struct execution_report *report, struct buffer *json)
{
	uint64_t ran_ms = has_timed_out(report) ? a->timeout_ms : report->ran_us / 1000;
	char status[8] = "-1";

	if (execution_came_to_end(report))
		snprintf(status, sizeof(status), "%u", report->exit_status);
	put_head(a, status, json);
	buffer_put_text(json, ",\"result\":{");
	put_streams(a, json);
	buffer_put_format(json, ",\"executionTimeInMilliseconds\":%llu}}", (unsigned long long)ran_ms);
}

void execute_answer_put_pending(const struct execute_answer *a, bool is_running, struct buffer *json)
{
	put_head(a, is_running ? "Running" : "NotStarted", json);
	buffer_put_text(json, "}");
}

void execute_answer_put(const struct execute_answer *a, const struct execution_report *report, struct buffer *json)
{
	bool ok = succeeded(report);

	if (a->family == EXECUTE_COMMAND) {
		put_command(a, report, json);
	} else if (a->family == EXECUTE_LEGACY) {
		buffer_put_format(json, "{\"properties\":{\"status\":\"%s\",", ok ? "Success" : "Failure");
		put_members(a, report, "result", json);
		buffer_put_text(json, "}}");
	} else {
		bool canceled = report->end == EXECUTION_RAN && report->outcome == AGENT_INTERRUPTED;

		put_head(a, ok ? "Succeeded" : canceled ? "Canceled" : "Failed", json);
		buffer_put_text(json, ",\"result\":{");
		put_members(a, report, "executionResult", json);
		buffer_put_text(json, "}}");
	}
	if (!is_whole(a)) {
		/* A part is missing for want of memory: no answer is better than half of one. */
		buffer_fini(json);
		json->failed = true;
	}
}
