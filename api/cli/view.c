#include "view.h"
#include "common/cleanup.h"
#include "common/text.h"
#include "exit_status.h"
#include "report.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
	CELL_SIZE = 300,
	COLUMNS_MAX = 16,
	GAP = 2, /* spaces between two columns */
};

static const json_t *find(const json_t *object, const char *path)
{
	char key[64];

	while (object && *path) {
		size_t length = strcspn(path, ".");

		snprintf(key, sizeof(key), "%.*s", (int)length, path);
		object = json_is_array(object) ? json_array_get(object, strtoul(key, NULL, 10))
					       : json_object_get(object, key);
		path += length + (path[length] == '.');
	}
	return object;
}

static void write_cell(const json_t *row, const struct view_column *column, char *out, size_t size)
{
	const json_t *value = find(row, column->path);

	if (json_is_string(value) && *json_string_value(value)) {
		report_make_safe(json_string_value(value), out, size);
		/* 2024-11-11T09:05:02.4865293Z: the seconds' fraction is nothing for people. */
		if (column->kind == VIEW_TIME && strlen(out) > 20 && out[19] == '.')
			snprintf(out + 19, size - 19, "Z");
	} else if (json_is_integer(value)) {
		snprintf(out, size, "%" JSON_INTEGER_FORMAT, json_integer_value(value));
	} else if (json_is_real(value)) {
		snprintf(out, size, "%g", json_real_value(value));
	} else if (json_is_boolean(value)) {
		snprintf(out, size, "%s", json_is_true(value) ? "yes" : "no");
	} else {
		snprintf(out, size, "-");
	}
}

static void print_cell(const char *text, size_t width, bool is_last)
{
	fputs(text, stdout);
	if (is_last)
		putchar('\n');
	else
		printf("%*s", (int)(width - text_count_characters(text) + GAP), "");
}

static void print_table(const json_t *rows, const struct view_column *columns)
{
	size_t widths[COLUMNS_MAX], n_columns = 0, n_rows = json_array_size(rows);
	char cell[CELL_SIZE];

	for (; columns[n_columns].title; n_columns++) {
		widths[n_columns] = text_count_characters(columns[n_columns].title);
		for (size_t row = 0; row < n_rows; row++) {
			write_cell(json_array_get(rows, row), &columns[n_columns], cell, sizeof(cell));
			if (text_count_characters(cell) > widths[n_columns])
				widths[n_columns] = text_count_characters(cell);
		}
	}
	for (size_t i = 0; i < n_columns; i++)
		print_cell(columns[i].title, widths[i], i + 1 == n_columns);
	for (size_t row = 0; row < n_rows; row++) {
		for (size_t i = 0; i < n_columns; i++) {
			write_cell(json_array_get(rows, row), &columns[i], cell, sizeof(cell));
			print_cell(cell, widths[i], i + 1 == n_columns);
		}
	}
}

static void print_tsv(const json_t *rows, const struct view_column *columns)
{
	char cell[CELL_SIZE];

	for (size_t row = 0; row < json_array_size(rows); row++) {
		for (size_t i = 0; columns[i].title; i++) {
			write_cell(json_array_get(rows, row), &columns[i], cell, sizeof(cell));
			printf("%s%s", i ? "\t" : "", cell);
		}
		putchar('\n');
	}
}

/* The bytes of JSON text that belong together: a string with its quotes, a number or word, or one byte of the rest. */
static size_t token_length(const char *at)
{
	size_t length = 1;

	if (*at != '"')
		return strcspn(at, "\",:[]{} \n\r\t") ? strcspn(at, "\",:[]{} \n\r\t") : 1;
	while (at[length] && at[length] != '"')
		length += at[length] == '\\' && at[length + 1] ? 2 : 1;
	return length + (at[length] == '"');
}

static const char *colour_of(const char *token, size_t length)
{
	if (*token == '"')
		return token[length] == ':' ? "\033[94m" : "\033[33m";
	return strchr(",:[]{}", *token) ? "" : "\033[36m";
}

/* What would drive a terminal, DEL and U+0080 to U+009F, is shown as question marks; JSON has no others as they are. */
static void print_token(const char *token, size_t length, bool is_terminal, bool with_colours)
{
	const char *colour = with_colours && is_terminal ? colour_of(token, length) : "";

	fputs(colour, stdout);
	for (size_t i = 0; i < length; i++) {
		unsigned char c = (unsigned char)token[i], next = (unsigned char)token[i + 1];

		if (is_terminal && (c == 0x7f || (c == 0xc2 && next >= 0x80 && next < 0xa0)))
			fputs(c == 0x7f ? "?" : (i++, "?"), stdout);
		else
			putchar(c);
	}
	fputs(*colour ? "\033[0m" : "", stdout);
}

static void print_line_break(int depth)
{
	printf("\n%*s", 2 * depth, "");
}

/* Token by token, so that numbers keep all their digits. */
static void print_indented(const char *text, bool with_colours)
{
	bool is_terminal = isatty(STDOUT_FILENO);
	int depth = 0;

	for (size_t length; *text; text += length) {
		bool is_open = strchr("[{", *text), is_close = strchr("]}", *text);

		length = token_length(text);
		if (strchr(" \n\r\t", *text))
			continue;
		depth -= is_close;
		if (is_close && !strchr("[{", text[-1]))
			print_line_break(depth);
		print_token(text, length, is_terminal, with_colours);
		depth += is_open;
		if (*text == ':')
			putchar(' ');
		else if (*text == ',' || (is_open && !strchr("]}", text[1])))
			print_line_break(depth);
	}
	putchar('\n');
}

/* On a terminal in ASCII: a text of the service could otherwise hold what drives it. */
static int print_json(const json_t *value, const char *text, bool with_colours)
{
	AUTO_FREE char *dumped = text ? NULL
				      : json_dumps(value, JSON_COMPACT | JSON_ENCODE_ANY |
								  (isatty(STDOUT_FILENO) ? JSON_ENSURE_ASCII : 0));

	if (!text && !dumped)
		return -1;
	print_indented(text ? text : dumped, with_colours);
	return 0;
}

int view_print(const json_t *value, const struct view_column *columns, const char *format, struct error *err)
{
	return view_print_text(value, NULL, columns, format, err);
}

int view_print_text(const json_t *value, const char *text, const struct view_column *columns, const char *format,
		    struct error *err)
{
	bool as_table = format ? strcmp(format, "table") == 0 : isatty(STDOUT_FILENO);
	json_t *row = !value || json_is_array(value) ? NULL : json_pack("[O]", value);
	int ret = 0;

	if (!value)
		return error_set(err, STATUS_SERVICE, "the service's answer lacks what was asked for: is it hearthd?");
	if (as_table)
		print_table(row ? row : value, columns);
	else if (format && strcmp(format, "tsv") == 0)
		print_tsv(row ? row : value, columns);
	else if (!format || strcmp(format, "none") != 0)
		ret = print_json(value, text, format && strcmp(format, "jsonc") == 0);
	json_decref(row);
	return ret < 0 ? error_set(err, STATUS_SERVICE, "cannot write the output") : report_flush_output(err);
}
