#include "api/notebook.h"

#include "api/guid.h"
#include "api/json_text.h"
#include "api/utf8.h"

#include <errno.h>
#include <math.h>
#include <string.h>
#include <strings.h>

/* ---- reading ----------------------------------------------------------------------------------------------------- */

static bool is_text_or_texts(const json_t *value)
{
	const json_t *line;
	size_t i;

	json_array_foreach(value, i, line) if (!json_is_string(line)) return false;
	return json_is_string(value) || json_is_array(value);
}

static bool is_code(const json_t *cell)
{
	return strcmp(json_string_value(json_object_get(cell, "cell_type")), "code") == 0;
}

static size_t source_size(const json_t *source)
{
	size_t size = json_string_length(source), i;
	const json_t *line;

	json_array_foreach(source, i, line) size += json_string_length(line);
	return size;
}

static bool is_blank_text(const json_t *text)
{
	return strspn(json_string_value(text), " \t\r\n") == json_string_length(text);
}

static bool is_blank(const json_t *source)
{
	const json_t *line;
	size_t i;

	json_array_foreach(source, i, line) if (!is_blank_text(line)) return false;
	return json_is_array(source) || is_blank_text(source);
}

static bool has_tag(const json_t *cell, const char *tag)
{
	const json_t *tags = json_object_get(json_object_get(cell, "metadata"), "tags"), *one;
	size_t i;

	json_array_foreach(tags, i,
			   one) if (json_is_string(one) && strcmp(json_string_value(one), tag) == 0) return true;
	return false;
}

static bool is_to_be_run(const json_t *cell)
{
	return is_code(cell) && !is_blank(json_object_get(cell, "source")) && !has_tag(cell, "skip-execution");
}

static int check_cell(const json_t *cell, size_t index, struct error *err)
{
	const json_t *metadata = json_object_get(cell, "metadata"), *source = json_object_get(cell, "source");

	if (!json_is_string(json_object_get(cell, "cell_type")))
		return error_set(err, EINVAL, "The cell %zu is no object with a 'cell_type'.", index);
	if (metadata && !json_is_object(metadata))
		return error_set(err, EINVAL, "The 'metadata' of the cell %zu are no object.", index);
	if (!is_text_or_texts(source))
		return error_set(err, EINVAL, "The 'source' of the cell %zu is neither a text nor a list of texts.",
				 index);
	if (is_code(cell) && source_size(source) > AGENT_CODE_MAX)
		return error_set(err, E2BIG, "The code of the cell %zu is larger than %d bytes.", index,
				 AGENT_CODE_MAX);
	return 0;
}

/* Some programs write whole numbers as 5.0. */
static bool is_whole_number(const json_t *value)
{
	return json_is_number(value) && fmod(json_number_value(value), 1) == 0;
}

static int check(struct notebook *n, struct error *err)
{
	const json_t *format = json_object_get(n->root, "nbformat"), *metadata = json_object_get(n->root, "metadata");
	const json_t *minor = json_object_get(n->root, "nbformat_minor"), *cell;
	size_t i;

	if (!json_is_object(n->root))
		return error_set(err, EINVAL, "The body is no notebook: it must be a JSON object.");
	if (json_number_value(format) != 4)
		return error_set(err, EINVAL,
				 "The notebook is not of nbformat 4: convert it (jupyter nbconvert --to notebook).");
	if (minor && !is_whole_number(minor))
		return error_set(err, EINVAL, "The notebook's 'nbformat_minor' is no whole number.");
	if (metadata && !json_is_object(metadata))
		return error_set(err, EINVAL, "The notebook's 'metadata' are no object.");
	n->cells = json_object_get(n->root, "cells");
	if (!json_is_array(n->cells))
		return error_set(err, EINVAL, "The notebook has no list of 'cells'.");
	if (json_array_size(n->cells) > NOTEBOOK_CELLS_MAX)
		return error_set(err, E2BIG, "The notebook has more than %d cells.", NOTEBOOK_CELLS_MAX);
	json_array_foreach(n->cells, i, cell)
	{
		if (check_cell(cell, i, err) < 0)
			return -err->code;
		n->n_code_cells += is_to_be_run(cell);
	}
	return 0;
}

int notebook_parse(struct notebook *n, const char *text, size_t size, struct error *err)
{
	json_error_t at;

	*n = (struct notebook) { 0 };
	if (json_count_values(text, size) > NOTEBOOK_VALUES_MAX)
		return error_set(err, E2BIG,
				 "The notebook has more than %d values: clear its outputs, which are made anew.",
				 NOTEBOOK_VALUES_MAX);
	n->root = json_loadb(text, size, JSON_ALLOW_NUL, &at);
	if (!n->root)
		return error_set(err, EINVAL, "The body is not JSON: %.200s (line %d, column %d).", at.text, at.line,
				 at.column);
	return check(n, err);
}

void notebook_fini(struct notebook *n)
{
	json_decref(n->root);
	*n = (struct notebook) { 0 };
}

int notebook_language(const struct notebook *n, enum agent_language *language, struct error *err)
{
	static const struct {
		const char *name;
		enum agent_language language;
	} names[] = {
		{ "python", AGENT_PYTHON }, { "ipython", AGENT_PYTHON }, { "javascript", AGENT_NODE },
		{ "node", AGENT_NODE },     { "nodejs", AGENT_NODE },
	};
	const json_t *metadata = json_object_get(n->root, "metadata");
	const json_t *name = json_object_get(json_object_get(metadata, "language_info"), "name");

	if (!json_is_string(name))
		name = json_object_get(json_object_get(metadata, "kernelspec"), "language");
	*language = (enum agent_language)0;
	if (!json_is_string(name))
		return 0;
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		if (strcasecmp(json_string_value(name), names[i].name) == 0) {
			*language = names[i].language;
			return 0;
		}
	}
	return error_set(err, EINVAL, "The notebook is in the language '%.64s': sessions run python and node.",
			 json_string_value(name));
}

/* ---- running ----------------------------------------------------------------------------------------------------- */

/* The format wants these members of every cell; from 4.5 on an id, too, and before that none. */
static void complete_cell(const struct notebook *n, json_t *cell)
{
	const json_t *minor = json_object_get(n->root, "nbformat_minor");
	char id[GUID_SIZE];

	if (!json_object_get(cell, "metadata"))
		json_object_set_new(cell, "metadata", json_object());
	if (json_number_value(minor) < 5 || json_object_get(cell, "id"))
		return;
	guid_make(id);
	json_object_set_new(cell, "id", json_stringn(id, 8));
}

bool notebook_begin_cell(struct notebook *n, struct buffer *code)
{
	const json_t *source, *line;
	size_t i;

	while (n->at < json_array_size(n->cells) && !is_to_be_run(json_array_get(n->cells, n->at)))
		n->at++;
	if (n->at == json_array_size(n->cells))
		return false;
	n->cell_index = n->at++;
	n->cell = json_array_get(n->cells, n->cell_index);
	n->n_run++;
	complete_cell(n, n->cell);
	json_object_set_new(n->cell, "execution_count", json_integer((json_int_t)n->n_run));
	json_object_set_new(n->cell, "outputs", json_array());
	source = json_object_get(n->cell, "source");
	if (json_is_string(source))
		buffer_put(code, json_string_value(source), json_string_length(source));
	json_array_foreach(source, i, line) buffer_put(code, json_string_value(line), json_string_length(line));
	return true;
}

void notebook_set_outputs(struct notebook *n, json_t *outputs)
{
	json_object_set_new(n->cell, "outputs", outputs);
}

bool notebook_cell_may_fail(const struct notebook *n)
{
	return has_tag(n->cell, "raises-exception");
}

void notebook_set_status(struct notebook *n, bool succeeded, long failed_cell)
{
	json_t *metadata = json_object_get(n->root, "metadata");
	json_t *status = json_pack("{s:s,s:I,s:I}", "status", succeeded ? "Succeeded" : "Failed", "executedCells",
				   (json_int_t)n->n_run, "codeCells", (json_int_t)n->n_code_cells);

	if (!metadata) {
		json_object_set_new(n->root, "metadata", json_object());
		metadata = json_object_get(n->root, "metadata");
	}
	if (failed_cell >= 0)
		json_object_set_new(status, "failedCell", json_integer(failed_cell));
	json_object_set_new(metadata, "hearth", status);
}

static int append(const char *text, size_t size, void *data)
{
	buffer_put(data, text, size);
	return 0;
}

void notebook_put(const struct notebook *n, struct buffer *json)
{
	if (json_dump_callback(n->root, append, json, JSON_COMPACT) < 0)
		json->failed = true;
}
