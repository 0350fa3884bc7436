/*
 * Completion in shells. `hearth completion bash` (zsh, fish) prints a small script; what that offers it asks of
 * `hearth __complete WORD...`, so that it is made of the tables that the command line is read by.
 */
#ifndef HEARTH_API_CLI_COMPLETION_H
#define HEARTH_API_CLI_COMPLETION_H

#include "command.h"

/* All commands, as main.c knows them. Each array ends with NULL. */
struct completion_catalog {
	const struct command_group *const *groups; /* hearth GROUP COMMAND */
	const struct command_group *files;         /* hearth session code-interpreter COMMAND */
	const struct command *const *singles;      /* hearth COMMAND, with a table of options */
	const char *const *others;                 /* likewise, without */
	const struct option_spec *run_options;     /* of hearth run */
};

/* argv[0] is "completion". Returns the exit status. */
int completion_command(int argc, char **argv);

/*
 * Prints what the last of `words` may become, one a line, each followed by a tab and what it means. Nothing where a file
 * is meant.
 */
void completion_print(const struct completion_catalog *catalog, int n_words, char **words, FILE *out);

#endif
