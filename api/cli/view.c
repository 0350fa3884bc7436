#include "view.h"
#include "common/cleanup.h"
#include "exit_status.h"
#include "report.h"

#include <errno.h>
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
		object = json_object_get(object, key);
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

/* Characters of UTF-8, as good a measure of width as names and numbers need. */
static size_t width_of(const char *text)
{
	size_t n = 0;

	for (; *text; text++)
		n += ((unsigned char)*text & 0xc0) != 0x80;
	return n;
}

static void print_cell(const char *text, size_t width, bool is_last)
{
	fputs(text, stdout);
	if (is_last)
		putchar('\n');
	else
		printf("%*s", (int)(width - width_of(text) + GAP), "");
}

static void print_table(const json_t *rows, const struct view_column *columns)
{
	size_t widths[COLUMNS_MAX], n_columns = 0, n_rows = json_array_size(rows);
	char cell[CELL_SIZE];

	for (; columns[n_columns].title; n_columns++) {
		widths[n_columns] = width_of(columns[n_columns].title);
		for (size_t row = 0; row < n_rows; row++) {
			write_cell(json_array_get(rows, row), &columns[n_columns], cell, sizeof(cell));
			if (width_of(cell) > widths[n_columns])
				widths[n_columns] = width_of(cell);
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

/* On a terminal in ASCII: a text of the service could otherwise hold what drives it. */
static int print_json(const json_t *value)
{
	AUTO_FREE char *text =
		json_dumps(value, JSON_INDENT(2) | JSON_ENCODE_ANY | (isatty(STDOUT_FILENO) ? JSON_ENSURE_ASCII : 0));

	return text && puts(text) >= 0 ? 0 : -1;
}

int view_print(const json_t *value, const struct view_column *columns, const char *format, struct error *err)
{
	bool as_table = format ? strcmp(format, "table") == 0 : isatty(STDOUT_FILENO);
	json_t *row = !value || json_is_array(value) ? NULL : json_pack("[O]", value);
	int ret = 0;

	if (!value)
		return error_set(err, STATUS_SERVICE, "the service's answer lacks what was asked for: is it hearthd?");
	if (as_table)
		print_table(row ? row : value, columns);
	else
		ret = print_json(value);
	json_decref(row);
	if (ret < 0 || fflush(stdout) != 0 || ferror(stdout))
		return error_set(err, errno == EPIPE ? STATUS_SIGNAL + 13 : STATUS_SERVICE, "%s",
				 errno == EPIPE ? "" : "cannot write the output");
	return 0;
}
