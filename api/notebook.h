/*
 * A notebook (.ipynb, nbformat 4) that is run cell by cell: what code there is to run, and where its outputs go. What it
 * does not know it leaves alone. Knows neither HTTP nor sessions.
 */
#ifndef HEARTH_API_NOTEBOOK_H
#define HEARTH_API_NOTEBOOK_H

#include "api/buffer.h"
#include "common/agent_protocol.h"
#include "common/error.h"

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

enum {
	NOTEBOOK_VALUES_MAX =
		200000, /* of its JSON: each takes memory, many times the bytes that the document has for it */
	NOTEBOOK_CELLS_MAX = 10000,
};

struct notebook {
	json_t *root;
	json_t *cells;       /* root's */
	size_t n_code_cells; /* that are to be run: neither empty nor tagged skip-execution */
	size_t n_run;        /* of them, those that were begun */
	size_t at;           /* where to look for the next one */
	json_t *cell;        /* the one that was begun; cells' */
	size_t cell_index;   /* its place among all cells */
};

/*
 * Reads a notebook and checks all that running it needs. 0, or negative with *err filled: code EINVAL, or E2BIG if it is
 * too large. Call notebook_fini() in either case.
 */
int notebook_parse(struct notebook *n, const char *text, size_t size, struct error *err);
void notebook_fini(struct notebook *n);

/* The language that its metadata names; 0: none. Negative with *err filled if it is one that sessions do not run. */
int notebook_language(const struct notebook *n, enum agent_language *language, struct error *err);

/*
 * Begins the next cell that is to be run: takes the outputs that it had, and gives it its number in this run. False if
 * there is none left. `code` receives what it says, and is failed if there is no memory.
 */
bool notebook_begin_cell(struct notebook *n, struct buffer *code);

/* Puts the outputs of the cell that was begun in place. Takes them over. */
void notebook_set_outputs(struct notebook *n, json_t *outputs);

/* True if the cell that was begun is tagged raises-exception: its failure is as it should be. */
bool notebook_cell_may_fail(const struct notebook *n);

/* Notes in the metadata, under the key "hearth", how the run went. `failed_cell` negative: none has failed. */
void notebook_set_status(struct notebook *n, bool succeeded, long failed_cell);

/* Appends its JSON, without a line feed. */
void notebook_put(const struct notebook *n, struct buffer *json);

#endif
