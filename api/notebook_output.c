#include "api/notebook_output.h"

#include "api/error_data.h"
#include "api/json.h"
#include "api/json_text.h"
#include "common/base64.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TIMED_OUT "Request timed out waiting for code execution to complete"

void notebook_output_begin(struct notebook_output *o, size_t *budget, size_t execution_count, uint64_t output_limit)
{
	*o = (struct notebook_output) {
		.list = json_array(),
		.budget = budget,
		.execution_count = execution_count,
		.output_limit = output_limit,
		.stream = AGENT_STDOUT,
	};
}

void notebook_output_fini(struct notebook_output *o)
{
	json_decref(o->list);
	buffer_fini(&o->text);
	*o = (struct notebook_output) { 0 };
}

enum {
	/* What jansson needs beyond the bytes; the guest chooses how many there are. */
	OUTPUT_COST = 1024,
	VALUE_COST = 64,
};

static void append(struct notebook_output *o, json_t *output)
{
	*o->budget -= *o->budget < OUTPUT_COST ? *o->budget : OUTPUT_COST;
	if (!output || json_array_append_new(o->list, output) < 0)
		o->failed = true;
}

/*
 * False, and `size` bytes are counted as cut, if what they cost is too much. Our own words at a cell's end have room of
 * their own.
 */
static bool admit(struct notebook_output *o, size_t size, size_t cost)
{
	if (*o->budget && cost <= *o->budget && json_array_size(o->list) < NOTEBOOK_OUTPUTS_MAX) {
		*o->budget -= cost;
		return true;
	}
	o->n_cut += size;
	return false;
}

/* ---- streams ----------------------------------------------------------------------------------------------------- */

static const char *stream_name(enum agent_frame_type stream)
{
	return stream == AGENT_STDERR ? "stderr" : "stdout";
}

static void flush(struct notebook_output *o)
{
	if (o->text.failed)
		o->failed = true;
	else if (o->text.size)
		append(o, json_pack("{s:s,s:s,s:o}", "output_type", "stream", "name", stream_name(o->stream), "text",
				    json_stringn_nocheck(o->text.data, o->text.size)));
	buffer_fini(&o->text);
}

static void use_stream(struct notebook_output *o, enum agent_frame_type stream)
{
	if (o->stream != stream)
		flush(o);
	o->stream = stream;
}

void notebook_output_stream(struct notebook_output *o, enum agent_frame_type stream, const uint8_t *data, size_t size)
{
	if (!admit(o, size, size))
		return;
	use_stream(o, stream);
	utf8_decode(&o->decoders[stream == AGENT_STDERR], data, size, &o->text);
}

/* A line of ours on stderr. */
static void put_line(struct notebook_output *o, const char *format, ...) __attribute__((format(printf, 2, 3)));
static void put_line(struct notebook_output *o, const char *format, ...)
{
	struct utf8_decoder decoder = { 0 }; /* what an agent says may be none */
	char line[1024];
	va_list args;

	use_stream(o, AGENT_STDERR);
	if (o->text.size && o->text.data[o->text.size - 1] != '\n')
		buffer_put_text(&o->text, "\n");
	va_start(args, format);
	vsnprintf(line, sizeof(line), format, args);
	va_end(args);
	utf8_decode(&decoder, line, strlen(line), &o->text);
	utf8_decode_end(&decoder, &o->text);
}

/* ---- display data ------------------------------------------------------------------------------------------------ */

static bool is_json(const char *type)
{
	size_t n = strlen(type);

	return strcmp(type, "application/json") == 0 || (n > 5 && strcmp(type + n - 5, "+json") == 0);
}

static json_t *text_value(const void *data, size_t size)
{
	struct utf8_decoder decoder = { 0 };
	struct buffer text = { 0 };
	json_t *value;

	utf8_decode(&decoder, data, size, &text);
	utf8_decode_end(&decoder, &text);
	value = text.failed ? NULL : json_stringn_nocheck(text.data ? text.data : "", text.size);
	buffer_fini(&text);
	return value;
}

static json_t *base64_value(const struct mime_entry *entry)
{
	size_t size = base64_encoded_size(entry->size);
	struct buffer text = { 0 };
	json_t *value = NULL;

	if (buffer_reserve(&text, size + 1)) {
		base64_encode(entry->data, entry->size, text.data);
		value = json_stringn_nocheck(text.data, size);
	}
	buffer_fini(&text);
	return value;
}

/* Of JSON types a notebook holds the value itself; one that cannot be read is left out. */
static json_t *bundle_value(const struct mime_bundle *bundle)
{
	json_t *data = json_object();

	for (size_t i = 0; i < bundle->n_entries; i++) {
		const struct mime_entry *entry = &bundle->entries[i];
		json_t *value;

		if (strcmp(entry->type, AGENT_MIME_SCALAR) == 0)
			continue;
		if (is_json(entry->type))
			value = json_parse((const char *)entry->data, entry->size, NULL);
		else if (mime_type_is_text(entry->type))
			value = text_value(entry->data, entry->size);
		else
			value = base64_value(entry);
		if (value)
			json_object_set_new(data, entry->type, value);
	}
	return data;
}

static size_t entry_cost(const struct mime_entry *entry)
{
	size_t n_values = is_json(entry->type) ? json_count_values((const char *)entry->data, entry->size) : 0;

	return entry->size + strlen(entry->type) + (n_values + 2) * VALUE_COST;
}

static void append_error(struct notebook_output *o, json_t *error)
{
	json_object_set_new(error, "output_type", json_string("error"));
	append(o, error);
}

void notebook_output_display(struct notebook_output *o, const struct mime_bundle *bundle, bool is_result)
{
	json_t *error = is_result ? NULL : error_data_parse(bundle), *output;
	size_t size = 0, cost = 0;
	bool is_too_much;

	for (size_t i = 0; i < bundle->n_entries; i++) {
		size += bundle->entries[i].size;
		cost += entry_cost(&bundle->entries[i]);
	}
	is_too_much = cost > NOTEBOOK_DISPLAY_MAX - o->n_display;
	if (is_too_much)
		o->n_cut += size;
	if (is_too_much || !admit(o, size, cost)) {
		json_decref(error);
		return;
	}
	o->n_display += cost;
	flush(o);
	if (error) {
		append_error(o, error);
		return;
	}
	output = json_pack("{s:s,s:o,s:{}}", "output_type", is_result ? "execute_result" : "display_data", "data",
			   bundle_value(bundle), "metadata");
	if (is_result)
		json_object_set_new(output, "execution_count", json_integer((json_int_t)o->execution_count));
	append(o, output);
}

/* ---- the end ----------------------------------------------------------------------------------------------------- */

void notebook_output_error(struct notebook_output *o, const char *name, const char *text)
{
	flush(o);
	append_error(o, json_pack("{s:s,s:o,s:[o]}", "ename", name, "evalue", text_value(text, strlen(text)),
				  "traceback", text_value(text, strlen(text))));
}

/* The last error of the code itself; NULL if it told none. */
static json_t *last_error(const struct notebook_output *o)
{
	for (size_t i = json_array_size(o->list); i > 0; i--) {
		json_t *output = json_array_get(o->list, i - 1);
		const char *type = json_string_value(json_object_get(output, "output_type"));

		if (type && strcmp(type, "error") == 0)
			return output;
	}
	return NULL;
}

/* The interrupt that its code saw is how its time ended. */
static void put_timeout(struct notebook_output *o)
{
	json_t *error = last_error(o);

	if (!error) {
		notebook_output_error(o, "TimeoutError", TIMED_OUT);
		return;
	}
	json_object_set_new(error, "ename", json_string("TimeoutError"));
	json_object_set_new(error, "evalue", json_string(TIMED_OUT));
}

static void put_lost(struct notebook_output *o, const char *name, const char *sentence, const char *lost)
{
	char text[1024];

	snprintf(text, sizeof(text), "Execution aborted: %s%s", sentence, lost);
	notebook_output_error(o, name, text);
}

static enum notebook_cell_end put_outcome(struct notebook_output *o, const struct execution_report *report)
{
	switch (report->outcome) {
	case AGENT_OK:
		return NOTEBOOK_CELL_SUCCEEDED;
	case AGENT_ERROR:
		if (!last_error(o))
			notebook_output_error(o, "Error", "The code failed and told no exception.");
		return NOTEBOOK_CELL_FAILED;
	case AGENT_TIMEOUT:
		put_timeout(o);
		return report->state_lost ? NOTEBOOK_CELL_LOST : NOTEBOOK_CELL_FAILED;
	case AGENT_LOST:
		put_lost(o, "InterpreterLost", report->sentence, "; the session's variables are lost");
		return NOTEBOOK_CELL_LOST;
	case AGENT_INTERRUPTED:
	case AGENT_REFUSED:
		break;
	}
	put_lost(o, "Interrupted", report->sentence, "");
	return NOTEBOOK_CELL_LOST;
}

static void put_notes(struct notebook_output *o, const struct execution_report *report)
{
	const struct {
		const char *name;
		uint64_t n_cut;
	} streams[] = { { "stdout", report->stdout_cut_bytes }, { "stderr", report->stderr_cut_bytes } };

	for (size_t i = 0; i < 2; i++)
		if (streams[i].n_cut)
			put_line(o, "[hearth: %llu bytes of %s cut; limit %llu]\n",
				 (unsigned long long)streams[i].n_cut, streams[i].name,
				 (unsigned long long)o->output_limit);
	if (o->n_cut)
		put_line(o, "[hearth: %llu bytes of output cut: it was too much for the cell or for the notebook]\n",
			 (unsigned long long)o->n_cut);
	if (report->loss_before)
		put_line(o,
			 "[hearth: the session's earlier variables were lost when an execution whose client had gone "
			 "was ended]\n");
	if (report->end == EXECUTION_RAN && report->state_lost &&
	    (report->outcome == AGENT_OK || report->outcome == AGENT_ERROR))
		put_line(o, "[hearth: %s]\n", report->sentence);
}

enum notebook_cell_end notebook_output_finish(struct notebook_output *o, const struct execution_report *report)
{
	utf8_decode_end(&o->decoders[o->stream == AGENT_STDERR], &o->text);
	put_notes(o, report);
	flush(o);
	if (report->end == EXECUTION_RAN)
		return put_outcome(o, report);
	if (report->end == EXECUTION_TIMED_OUT)
		put_timeout(o);
	else
		put_lost(o, "SessionLost", report->sentence, "; the session's files and variables are lost");
	return NOTEBOOK_CELL_LOST;
}

json_t *notebook_output_take(struct notebook_output *o)
{
	json_t *list = o->failed ? NULL : json_incref(o->list);

	notebook_output_fini(o);
	return list;
}
