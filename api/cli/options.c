#include "options.h"
#include "common/text.h"
#include "exit_status.h"

#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

enum {
	NAME_WIDTH = 26, /* of the column with the names, in the help */
};

/* An option as it stands on the command line. */
struct token {
	const char *text;  /* "--name", "-n" or "--name=value", for errors */
	const char *value; /* that came with it, or NULL */
	const struct option_spec *spec;
};

bool option_takes_value(enum option_kind kind)
{
	return kind == OPTION_TEXT || kind == OPTION_TEXT_OR_EMPTY || kind == OPTION_WORDS || kind == OPTION_NUMBER ||
	       kind == OPTION_IGNORED || kind == OPTION_REFUSED;
}

/* --name, --name=value, -n, -nvalue; no abbreviations, since a later option could make them mean something else. */
static bool find(const struct option_spec *specs, const char *text, struct token *token)
{
	bool is_long = text[1] == '-';
	size_t length = is_long ? strcspn(text + 2, "=") : 1;

	for (const struct option_spec *spec = specs; spec->kind != OPTION_END; spec++) {
		if (is_long && (strlen(spec->name) != length || strncmp(spec->name, text + 2, length) != 0))
			continue;
		if (!is_long && (!spec->letter || spec->letter != text[1]))
			continue;
		*token = (struct token) { .text = text, .spec = spec };
		if (is_long && text[2 + length] == '=')
			token->value = text + 3 + length;
		else if (!is_long && text[2])
			token->value = text + 2;
		return true;
	}
	return false;
}

static int set_number(struct options *options, const struct token *token, struct error *err)
{
	long *value = (long *)((uintptr_t)options + token->spec->offset);
	char *end;

	errno = 0;
	*value = strtol(token->value, &end, 10);
	if (!*token->value || *end || errno || *value < 0)
		return error_set(err, STATUS_USAGE, "--%s takes a number, not '%s'", token->spec->name, token->value);
	return 0;
}

static int add_word(struct options *options, const struct option_spec *spec, const char *word, struct error *err)
{
	struct option_words *words = (struct option_words *)((uintptr_t)options + spec->offset);

	if (words->n == OPTIONS_WORDS_MAX)
		return error_set(err, STATUS_USAGE, "--%s takes at most %d words", spec->name, OPTIONS_WORDS_MAX);
	words->words[words->n++] = word;
	return 0;
}

static int set(struct options *options, const struct token *token, struct error *err)
{
	const struct option_spec *spec = token->spec;

	switch (spec->kind) {
	case OPTION_TEXT:
	case OPTION_TEXT_OR_EMPTY:
		if (!*token->value && spec->kind == OPTION_TEXT)
			return error_set(err, STATUS_USAGE, "--%s takes a value that is not empty", spec->name);
		*(const char **)((uintptr_t)options + spec->offset) = token->value;
		return 0;
	case OPTION_NUMBER:
		return set_number(options, token, err);
	case OPTION_SWITCH:
		*(bool *)((uintptr_t)options + spec->offset) = true;
		return 0;
	default:
		return 0;
	}
}

static int take_argument(struct options *options, size_t max, const char *text, struct error *err)
{
	if (options->n_arguments == max)
		return error_set(err, STATUS_USAGE, "'%s' is one argument too many", text);
	options->arguments[options->n_arguments++] = text;
	return 0;
}

static bool is_option(const char *word)
{
	return word[0] == '-' && word[1] != '\0';
}

/*
 * Takes the value that came with an option, if any, and the words behind it up to the next one. Returns how many words the
 * option was, with itself, or negative with *err set.
 */
static int take_words(struct options *options, const struct token *token, char **words, struct error *err)
{
	const struct option_spec *spec = token->spec;
	int n = 1;

	if (token->value && add_word(options, spec, token->value, err) < 0)
		return -err->code;
	for (; words[n] && !is_option(words[n]); n++)
		if (add_word(options, spec, words[n], err) < 0)
			return -err->code;
	if (n > 1 || token->value)
		return n;
	return error_set(err, STATUS_USAGE, "--%s needs a value: '' for none, --%s=WORD for one that begins with '-'",
			 spec->name, spec->name);
}

/* Takes the option at argv[i]. Returns how many words it was, or negative with *err set. */
static int take_option(struct options *options, const struct option_spec *specs, char **words, struct error *err)
{
	struct token token;
	int n_words = 1;

	if (!find(specs, words[0], &token))
		return error_set(err, STATUS_USAGE, "there is no option %s here", words[0]);
	if (token.spec->kind == OPTION_REFUSED)
		return error_set(err, STATUS_USAGE, "--%s cannot be used: %s", token.spec->name, token.spec->help);
	if (!option_takes_value(token.spec->kind)) {
		if (token.value)
			return error_set(err, STATUS_USAGE, "--%s takes no value", token.spec->name);
	} else if (token.spec->kind == OPTION_WORDS) {
		return take_words(options, &token, words, err);
	} else if (!token.value) {
		token.value = words[1];
		n_words = 2;
		if (!token.value)
			return error_set(err, STATUS_USAGE, "%s needs a value", words[0]);
	}
	return set(options, &token, err) < 0 ? -err->code : n_words;
}

static int check_output(const struct options *options, struct error *err)
{
	static const char *const formats[] = { "table", "json", "jsonc", "tsv", "none" };

	for (size_t i = 0; options->output && i < sizeof(formats) / sizeof(formats[0]); i++)
		if (strcmp(options->output, formats[i]) == 0)
			return 0;
	if (!options->output)
		return 0;
	return error_set(err, STATUS_USAGE, "'%s' is no format of output: it is table, json, jsonc, tsv or none",
			 options->output);
}

int options_parse(struct options *options, const struct option_spec *specs, size_t n_arguments_max, int argc,
		  char **argv, struct error *err)
{
	bool only_arguments = false;

	*options = (struct options) {
		.cooldown_s = OPTIONS_UNSET,
		.max_alive_s = OPTIONS_UNSET,
		.max_sessions = OPTIONS_UNSET,
		.ready_sessions = OPTIONS_UNSET,
		.max_file_mib = OPTIONS_UNSET,
		.max_processes = OPTIONS_UNSET,
		.max_execution_s = OPTIONS_UNSET,
		.max_output_bytes = OPTIONS_UNSET,
		.session_rate = OPTIONS_UNSET,
		.pool_rate = OPTIONS_UNSET,
		.days = OPTIONS_UNSET,
		.timeout_s = OPTIONS_UNSET,
		.max_size_mib = OPTIONS_UNSET,
		.max_entries = OPTIONS_UNSET,
		.target_port = OPTIONS_UNSET,
	};
	for (int i = 1; i < argc;) {
		int n_words = 1;

		if (!only_arguments && strcmp(argv[i], "--") == 0)
			only_arguments = true;
		else if (only_arguments || !is_option(argv[i]))
			n_words = take_argument(options, n_arguments_max, argv[i], err) < 0 ? -err->code : 1;
		else
			n_words = take_option(options, specs, argv + i, err);
		if (n_words < 0)
			return n_words;
		i += n_words;
	}
	return check_output(options, err);
}

void options_print_help(const struct option_spec *specs, FILE *out)
{
	for (; specs->kind != OPTION_END; specs++) {
		char name[64], letter[8] = "    ";

		if (!specs->help || specs->kind == OPTION_REFUSED)
			continue;
		if (specs->letter)
			snprintf(letter, sizeof(letter), "-%c, ", specs->letter);
		snprintf(name, sizeof(name), "--%s%s%s", specs->name, option_takes_value(specs->kind) ? " " : "",
			 option_takes_value(specs->kind) ? specs->argument : "");
		/* printf counts bytes. */
		fprintf(out, "  %s%-*s %s\n", letter, NAME_WIDTH + (int)(strlen(name) - text_count_characters(name)),
			name, specs->help);
	}
}
