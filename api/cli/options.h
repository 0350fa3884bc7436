/*
 * The options of the management commands: one struct for all of them, and for each command a table of those that it
 * takes, from which the command line is read and the help is made.
 */
#ifndef HEARTH_API_CLI_OPTIONS_H
#define HEARTH_API_CLI_OPTIONS_H

#include "common/error.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

enum {
	OPTIONS_ARGUMENTS_MAX = 2,
	OPTIONS_WORDS_MAX = 128,
	OPTIONS_UNSET = -1, /* of a number */
};

/* The words of an option that takes several; none if it was not given. */
struct option_words {
	const char *words[OPTIONS_WORDS_MAX];
	size_t n;
};

struct options {
	const char *arguments[OPTIONS_ARGUMENTS_MAX]; /* what is no option, in its order */
	size_t n_arguments;

	/* texts are NULL if they were not given */
	const char *url;
	const char *token;
	const char *output; /* one of view.h's formats, or NULL */
	const char *pool;
	const char *session;
	const char *location;
	const char *container_type;
	const char *lifecycle_type;
	const char *network_status;
	const char *egress_default;
	const char *egress_allow; /* lists with commas between */
	const char *egress_deny;
	const char *cpu;
	const char *memory;
	const char *template;
	const char *identity; /* managed */
	const char *since;
	const char *by;
	const char *file;
	const char *name;
	const char *role;
	const char *expires_in;
	const char *directory;
	const char *hosts;
	const char *ca_certificate;
	const char *file_path; /* a local one */
	const char *file_name;
	const char *folder;
	const char *code;
	long timeout_s;
	long cooldown_s;
	long max_alive_s;
	long max_sessions;
	long ready_sessions;
	long max_file_mib;
	long max_processes;
	long max_execution_s;
	long max_output_bytes;
	long session_rate;
	long pool_rate;
	const char *max_disk;
	const char *image_directory;
	const char *image;
	const char *container_name;
	const char *startup_probe; /* '' is none, as of the others */
	const char *readiness_probe;
	const char *liveness_probe;
	const char *snapshot;
	struct option_words command;
	struct option_words args;
	struct option_words env_vars;
	struct option_words secrets;
	long target_port;
	long max_size_mib;
	long max_entries;
	long days;
	bool yes;
	bool follow;
	bool network;
	bool allow_errors;
	bool insecure_registry;
	bool help;
};

enum option_kind {
	OPTION_END,
	OPTION_TEXT,
	OPTION_TEXT_OR_EMPTY, /* '' has a meaning, which `help` says */
	OPTION_WORDS, /* one or several, up to the next option; given again, more of them. '' alone: an empty list */
	OPTION_NUMBER,
	OPTION_SWITCH,
	OPTION_IGNORED,        /* taken with its value for the sake of scripts written for az */
	OPTION_IGNORED_SWITCH, /* likewise, without a value */
	OPTION_REFUSED,        /* `help` says why */
};

struct option_spec {
	enum option_kind kind;
	char letter; /* or 0 */
	const char *name;
	size_t offset;        /* in struct options */
	const char *argument; /* as the help calls it */
	const char *help;     /* NULL: not shown */
};

/* Whether a word follows it, or comes after `=`. */
bool option_takes_value(enum option_kind kind);

#define OPTION(kind, letter, name, field, argument, help)                                                              \
	{                                                                                                              \
		kind, letter, name, offsetof(struct options, field), argument, help                                    \
	}
#define OPTION_WITHOUT_EFFECT(kind, letter, name, help)                                                                \
	{                                                                                                              \
		kind, letter, name, 0, "VALUE", help                                                                   \
	}

/* What every command takes, and the end of its table. */
#define COMMON_OPTIONS                                                                                                 \
	OPTION(OPTION_TEXT, 'o', "output", output, "FORMAT",                                                           \
	       "table, json, jsonc (coloured), tsv or none; default: a table on a terminal, else JSON"),               \
		SERVICE_OPTIONS

/* Likewise, of a command whose output is no list. */
#define SERVICE_OPTIONS                                                                                                \
	OPTION(OPTION_TEXT, 0, "url", url, "URL", "the service; default: $HEARTH_URL, or http://127.0.0.1:8080"),      \
		OPTION(OPTION_TEXT, 0, "token", token, "TOKEN", "its token; default: see hearth help run"),            \
		OPTION(OPTION_TEXT, 0, "ca-certificate", ca_certificate, "FILE",                                       \
		       "trust this certificate authority; default: $HEARTH_CA_CERTIFICATE, or the machine's own"),     \
		OPTION(OPTION_SWITCH, 'h', "help", help, NULL, "print this"),                                          \
		OPTION_WITHOUT_EFFECT(OPTION_IGNORED, 'g', "resource-group", NULL),                                    \
		OPTION_WITHOUT_EFFECT(OPTION_IGNORED, 0, "subscription", NULL),                                        \
		OPTION_WITHOUT_EFFECT(OPTION_IGNORED_SWITCH, 0, "only-show-errors", NULL),                             \
		OPTION_WITHOUT_EFFECT(OPTION_IGNORED_SWITCH, 0, "verbose", NULL),                                      \
		OPTION_WITHOUT_EFFECT(OPTION_IGNORED_SWITCH, 0, "debug", NULL),                                        \
		OPTION_WITHOUT_EFFECT(OPTION_REFUSED, 0, "query", "there is no JMESPath here: use -o json | jq"),      \
	{                                                                                                              \
		.kind = OPTION_END                                                                                     \
	}

/* Which sessions a command is about. */
#define POOL_OPTION OPTION(OPTION_TEXT, 'p', "pool", pool, "NAME", "the session pool; default: the pool `default`")

/* Likewise, with what az calls the pool, and where it is there. */
#define SESSION_POOL_OPTIONS                                                                                           \
	POOL_OPTION, OPTION(OPTION_TEXT, 'n', "name", pool, "NAME", NULL),                                             \
		OPTION_WITHOUT_EFFECT(OPTION_IGNORED, 0, "session-pool-location", NULL)

/*
 * Reads the command line; argv[0] is not looked at. 0, or negative with *err set (STATUS_USAGE). *options points into
 * argv.
 */
int options_parse(struct options *options, const struct option_spec *specs, size_t n_arguments_max, int argc,
		  char **argv, struct error *err);

void options_print_help(const struct option_spec *specs, FILE *out);

#endif
