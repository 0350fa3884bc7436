/* The command's last word to its user, and texts of others that may stand on a terminal. */
#ifndef HEARTH_API_CLI_REPORT_H
#define HEARTH_API_CLI_REPORT_H

#include "common/error.h"

#include <stddef.h>

/* Prints the error on stderr (nothing if its text is empty: the user has seen the reason). Returns the exit status. */
int report(const struct error *err);

/*
 * Writes what stdout holds still. 0, or negative with *err set if that, or anything before it, could not be written; its text
 * is empty if who reads our output has enough of it.
 */
int report_flush_output(struct error *err);

/*
 * Copies `text` (UTF-8) to `out` with a space for each control character, so that nothing of it drives the terminal. What
 * does not fit is cut.
 */
void report_make_safe(const char *text, char *out, size_t size);

#endif
