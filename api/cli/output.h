/*
 * What the user sees of an execution: its events become text on stdout and stderr, and files for pictures.
 */
#ifndef HEARTH_API_CLI_OUTPUT_H
#define HEARTH_API_CLI_OUTPUT_H

#include "common/error.h"

#include <stdbool.h>
#include <stddef.h>

/* Writes all of it. 0, or negative with *err set; its text is empty if who reads our output has enough of it. */
int output_write(int fd, const char *data, size_t size, struct error *err);

/* Whether an execution of this status, which may be NULL, ran well: of code it is a word, of a command its exit status. */
bool output_is_success(const char *status);

struct output {
	const char *directory; /* for pictures; made when the first one comes */
	bool json;             /* print the plain answer instead of the streams */
	bool done;             /* the execution has ended, and … */
	bool succeeded;        /* … did so well */
	struct error error;    /* set when an event could not be handled */
};

/* An sse_event_fn with a struct output as its context. 0, or negative with `error` set. */
int output_event(void *context, const char *type, const char *data, size_t size);

#endif
