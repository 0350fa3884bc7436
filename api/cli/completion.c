#include "completion.h"
#include "exit_status.h"

#include <stdio.h>
#include <string.h>

/* ---- the scripts ------------------------------------------------------------------------------------------------- */

static const struct {
	const char *shell;
	const char *script;
} scripts[] = {
	{ "bash", "# bash completion for hearth: source <(hearth completion bash)\n"
		  "_hearth() {\n"
		  "\tlocal candidate\n"
		  "\tCOMPREPLY=()\n"
		  "\twhile IFS=$'\\t' read -r candidate _; do\n"
		  "\t\tCOMPREPLY+=(\"$candidate\")\n"
		  "\tdone < <(\"${COMP_WORDS[0]}\" __complete \"${COMP_WORDS[@]:1:COMP_CWORD}\" 2>/dev/null)\n"
		  "}\n"
		  "complete -o bashdefault -o default -F _hearth hearth\n" },
	{ "zsh", "#compdef hearth\n"
		 "# zsh completion for hearth: source <(hearth completion zsh), after compinit\n"
		 "_hearth() {\n"
		 "\tlocal line\n"
		 "\tlocal -a candidates\n"
		 "\twhile IFS= read -r line; do\n"
		 "\t\tcandidates+=(\"${${line%%$'\\t'*}//:/\\\\:}:${line#*$'\\t'}\")\n"
		 "\tdone < <(\"${words[1]}\" __complete \"${(@)words[2,CURRENT]}\" 2>/dev/null)\n"
		 "\tif (( $#candidates )); then\n"
		 "\t\t_describe hearth candidates\n"
		 "\telse\n"
		 "\t\t_files\n"
		 "\tfi\n"
		 "}\n"
		 "compdef _hearth hearth\n" },
	{ "fish", "# fish completion for hearth: hearth completion fish | source\n"
		  "function __hearth_complete\n"
		  "\tset -l words (commandline -opc)\n"
		  "\t$words[1] __complete $words[2..-1] (commandline -ct) 2>/dev/null\n"
		  "end\n"
		  "complete -c hearth -a '(__hearth_complete)'\n" },
};

int completion_command(int argc, char **argv)
{
	for (size_t i = 0; argc == 2 && i < sizeof(scripts) / sizeof(scripts[0]); i++) {
		if (strcmp(argv[1], scripts[i].shell) == 0) {
			fputs(scripts[i].script, stdout);
			return fflush(stdout) == 0 ? STATUS_OK : STATUS_SERVICE;
		}
	}
	fputs("Usage: hearth completion bash | zsh | fish\n\n"
	      "Prints a script that completes hearth's commands and options in that shell:\n"
	      "  source <(hearth completion bash)        in ~/.bashrc\n"
	      "  source <(hearth completion zsh)         in ~/.zshrc, after compinit\n"
	      "  hearth completion fish | source         in ~/.config/fish/config.fish\n",
	      argc == 2 && (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0) ? stdout : stderr);
	return argc == 2 && argv[1][0] == '-' ? STATUS_OK : STATUS_USAGE;
}

/* ---- what fits --------------------------------------------------------------------------------------------------- */

struct query {
	int n_words;
	char **words;
	const char *current; /* the last of them, of which there may be a part */
	FILE *out;
};

static void offer(const struct query *q, const char *prefix, const char *word, const char *meaning)
{
	size_t length = strlen(prefix);

	if (strncmp(q->current, prefix, length < strlen(q->current) ? length : strlen(q->current)) == 0 &&
	    (strlen(q->current) <= length || strncmp(q->current + length, word, strlen(q->current) - length) == 0))
		fprintf(q->out, "%s%s\t%s\n", prefix, word, meaning ? meaning : "");
}

/* The words that an option takes. Those of others are the user's: names, numbers, files. */
static void offer_values(const struct query *q, const char *option)
{
	static const struct {
		const char *option;
		const char *values[6];
	} known[] = {
		{ "output", { "table", "json", "jsonc", "tsv", "none" } },
		{ "container-type", { "PythonLTS", "NodeLTS", "Shell", "CustomContainer" } },
		{ "lifecycle-type", { "Timed", "MaxLifetime", "OnContainerExit" } },
		{ "snapshot", { "Running", "BeforeEntrypoint" } },
		{ "network-status", { "EgressDisabled", "EgressEnabled" } },
		{ "egress-default-action", { "Allow", "Deny" } },
		{ "role", { "reader", "executor", "manager" } },
		{ "by", { "pool", "session", "day" } },
		{ "language", { "python", "node", "shell" } },
	};

	for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++)
		for (size_t j = 0; strcmp(known[i].option, option) == 0 && known[i].values[j]; j++)
			offer(q, "", known[i].values[j], "");
}

/* The option that the word is, by its long name or its letter, and whose value comes as the next word; else NULL. */
static const struct option_spec *option_before(const struct option_spec *specs, const char *word)
{
	for (; specs->kind != OPTION_END; specs++) {
		bool is_long = strncmp(word, "--", 2) == 0 && strcmp(word + 2, specs->name) == 0;
		bool is_letter = word[0] == '-' && specs->letter && word[1] == specs->letter && !word[2];

		if ((is_long || is_letter) && option_takes_value(specs->kind))
			return specs;
	}
	return NULL;
}

/* `n_before` words are the command's own. */
static void offer_options(const struct query *q, const struct option_spec *specs, int n_before)
{
	const struct option_spec *before = q->n_words - 1 > n_before ? option_before(specs, q->words[q->n_words - 2])
								     : NULL;

	if (before) {
		/* The output of one command is a format, of another a file. */
		if (strcmp(before->argument, "FILE") != 0)
			offer_values(q, before->name);
		return;
	}
	for (; specs->kind != OPTION_END && q->current[0] == '-'; specs++)
		if (specs->kind != OPTION_REFUSED && specs->help)
			offer(q, "--", specs->name, specs->help);
}

static const struct command_group *find_group(const struct completion_catalog *c, const char *name)
{
	for (size_t i = 0; c->groups[i]; i++)
		if (strcmp(c->groups[i]->name, name) == 0)
			return c->groups[i];
	return NULL;
}

static void offer_commands(const struct query *q, const struct command_group *group, int n_before)
{
	for (const struct command *command = group->commands; command->name; command++) {
		if (q->n_words == n_before + 1)
			offer(q, "", command->name, command->summary);
		else if (strcmp(command->name, q->words[n_before]) == 0)
			offer_options(q, command->options, n_before + 1);
	}
}

static void offer_first(const struct query *q, const struct completion_catalog *c)
{
	for (size_t i = 0; c->groups[i]; i++)
		offer(q, "", c->groups[i]->name, c->groups[i]->summary);
	for (size_t i = 0; c->singles[i]; i++)
		offer(q, "", c->singles[i]->name, c->singles[i]->summary);
	for (size_t i = 0; c->others[i]; i++)
		offer(q, "", c->others[i], "");
}

void completion_print(const struct completion_catalog *c, int n_words, char **words, FILE *out)
{
	static char empty[] = "", *nothing[] = { empty };
	const struct query q = {
		.n_words = n_words ? n_words : 1,
		.words = n_words ? words : nothing,
		.current = n_words ? words[n_words - 1] : "",
		.out = out,
	};
	const struct command_group *group = find_group(c, q.words[0]);

	if (q.n_words == 1) {
		offer_first(&q, c);
		return;
	}
	if (group && strcmp(group->name, "session") == 0 && q.n_words > 2 &&
	    strcmp(words[1], "code-interpreter") == 0) {
		offer_commands(&q, c->files, 2);
	} else if (group) {
		offer_commands(&q, group, 1);
		if (strcmp(group->name, "session") == 0 && q.n_words == 2)
			offer(&q, "", "code-interpreter", c->files->summary);
	}
	for (size_t i = 0; c->singles[i]; i++)
		if (strcmp(c->singles[i]->name, words[0]) == 0)
			offer_options(&q, c->singles[i]->options, 1);
	if (strcmp(words[0], "run") == 0)
		offer_options(&q, c->run_options, 1);
	if (strcmp(words[0], "completion") == 0 && q.n_words == 2)
		for (size_t i = 0; i < sizeof(scripts) / sizeof(scripts[0]); i++)
			offer(&q, "", scripts[i].shell, "");
}
