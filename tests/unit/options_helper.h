/* Command lines as tests write them. */
#ifndef HEARTH_TESTS_OPTIONS_HELPER_H
#define HEARTH_TESTS_OPTIONS_HELPER_H

#include "api/cli/options.h"

#include <string.h>

/*
 * Parses the words behind a command, with one space between two; '' is an empty one. The options point into a copy of the
 * line that the next call overwrites. Returns what options_parse() does.
 */
static inline int parse_line(struct options *options, const struct option_spec *specs, size_t n_arguments_max,
			     const char *line, struct error *err)
{
	static char copy[1024];
	char *words[32] = { copy };
	int n = 1;

	strcpy(copy, line);
	for (char *word = strtok(copy, " "); word; word = strtok(NULL, " "))
		words[n++] = strcmp(word, "''") == 0 ? word + 2 : word;
	words[n] = NULL;
	return options_parse(options, specs, n_arguments_max, n, words, err);
}

#endif
