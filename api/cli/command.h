/*
 * A command that has commands of its own (`hearth session list`): finding the one that is meant, its options, its help,
 * and a service to talk to.
 */
#ifndef HEARTH_API_CLI_COMMAND_H
#define HEARTH_API_CLI_COMMAND_H

#include "options.h"
#include "service.h"

struct command {
	const char *name; /* NULL ends the table */
	const char *arguments;
	const char *summary;
	const struct option_spec *options;
	size_t n_arguments_max;
	/* Checks what it was given and does its work; `s` is NULL if the group is local. 0, or negative with *err set to an exit status. */
	int (*run)(struct service *s, const struct options *o, struct error *err);
};

struct command_group {
	const char *name;
	const char *summary;
	const struct command *commands;
	const char *examples;
	bool is_local; /* its commands need no service, and get none */
};

/* argv[0] is the group's name. Returns the exit status. */
int command_group_run(const struct command_group *group, int argc, char **argv);

/* A command without a group: argv[0] is its own name. Returns the exit status. */
int command_run(const struct command *command, int argc, char **argv);

/* Asks on the terminal. 0 if the answer is yes or --yes was given; else negative with *err set. */
int command_confirm(const struct options *o, struct error *err, const char *question, ...)
	__attribute__((format(printf, 3, 4)));

/* The first argument, which `what` says the meaning of, or `otherwise`; NULL with *err set if there is neither. */
const char *command_name(const struct options *o, const char *otherwise, const char *what, struct error *err);

#endif
