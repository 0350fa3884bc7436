/*
 * An error as a value: a code and a text that each caller may put in context. The text has a fixed size, so that
 * reporting never allocates. Leaf functions return -errno and stay silent; a function that knows the user's context
 * takes a struct error *. It is reported once, at the top.
 */
#ifndef HEARTH_COMMON_ERROR_H
#define HEARTH_COMMON_ERROR_H

#include <stddef.h>

struct error {
	int code;       /* a positive errno value, or a code of the part that sets it; never 0 once set */
	char text[488]; /* one sentence, no newline; says what to do next where something can be done */
};

/* Fills *err (may be NULL). Returns -code, so that a function can end with `return error_set(...)`. */
int error_set(struct error *err, int code, const char *format, ...) __attribute__((format(printf, 3, 4)));

/* Puts "<format>: " before the text and keeps the code. Returns -code. */
int error_wrap(struct error *err, const char *format, ...) __attribute__((format(printf, 2, 3)));

#endif
