/*
 * The outputs of one cell in the form of nbformat 4: streams, display data, a result, errors, in the order in which they
 * came. What one cell and what all cells of a notebook may keep is limited; what is cut is said in the cell.
 */
#ifndef HEARTH_API_NOTEBOOK_OUTPUT_H
#define HEARTH_API_NOTEBOOK_OUTPUT_H

#include "api/buffer.h"
#include "api/execution.h"
#include "api/mime_bundle.h"
#include "api/utf8.h"

#include <jansson.h>

enum {
	NOTEBOOK_OUTPUTS_MAX = 1000,           /* of one cell: each takes memory beyond its bytes */
	NOTEBOOK_DISPLAY_MAX = 32 << 20,       /* bytes of display data of one cell */
	NOTEBOOK_OUTPUT_BYTES_MAX = 128 << 20, /* of all cells */
};

struct notebook_output {
	json_t *list;
	size_t *budget;                  /* bytes that may still come, the caller's; of all cells of a notebook */
	size_t execution_count;          /* of the cell */
	uint64_t output_limit;           /* of each stream, as the execution has it */
	enum agent_frame_type stream;    /* of `text` */
	struct buffer text;              /* of a stream, not in the list yet */
	struct utf8_decoder decoders[2]; /* stdout, stderr */
	size_t n_display;                /* what display data has cost, in bytes */
	uint64_t n_cut;                  /* bytes of display data and streams that were cut here */
	bool failed;                     /* there was no memory */
};

/* Begins a cell. The outputs are to be released with notebook_output_fini() unless they were taken. */
void notebook_output_begin(struct notebook_output *o, size_t *budget, size_t execution_count, uint64_t output_limit);
void notebook_output_fini(struct notebook_output *o);

/* `stream` is AGENT_STDOUT or AGENT_STDERR. */
void notebook_output_stream(struct notebook_output *o, enum agent_frame_type stream, const uint8_t *data, size_t size);
void notebook_output_display(struct notebook_output *o, const struct mime_bundle *bundle, bool is_result);

/* An error of ours: the code could not be run to its end. */
void notebook_output_error(struct notebook_output *o, const char *name, const char *text);

/* How a cell ended. */
enum notebook_cell_end {
	NOTEBOOK_CELL_SUCCEEDED,
	NOTEBOOK_CELL_FAILED,
	NOTEBOOK_CELL_LOST, /* and with it the variables that cells after it may need */
};

/* The execution is over: adds what has to be said of it. There is an error among the outputs unless it succeeded. */
enum notebook_cell_end notebook_output_finish(struct notebook_output *o, const struct execution_report *report);

/* The list, which is the caller's from now on; NULL if there was no memory for it. */
json_t *notebook_output_take(struct notebook_output *o);

#endif
