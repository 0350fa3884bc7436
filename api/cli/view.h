/* What a management command answers: JSON for programs, a table for people. */
#ifndef HEARTH_API_CLI_VIEW_H
#define HEARTH_API_CLI_VIEW_H

#include "common/error.h"

#include <jansson.h>

enum view_kind { VIEW_PLAIN, VIEW_TIME };

struct view_column {
	const char *title; /* NULL ends the table of columns */
	const char *path;  /* keys, and the numbers of entries of arrays, with dots between them */
	enum view_kind kind;
};

/*
 * Prints an object, or an array of them, in `format`: "table"; "json"; "jsonc", which has colours on a terminal; "tsv",
 * the table's cells with tabs between them and without titles; "none". NULL is a table on a terminal, else JSON. 0, or
 * negative with *err set if the output cannot be written.
 */
int view_print(const json_t *value, const struct view_column *columns, const char *format, struct error *err);

/* Likewise, with the JSON text that `value` was read from, whose numbers may have more digits than a json_t keeps. */
int view_print_text(const json_t *value, const char *text, const struct view_column *columns, const char *format,
		    struct error *err);

#endif
