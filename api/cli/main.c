/* hearth: the command line of the service. */
#include "bench.h"
#include "cert.h"
#include "completion.h"
#include "exit_status.h"
#include "image.h"
#include "key.h"
#include "logs.h"
#include "notebook.h"
#include "run.h"
#include "session.h"
#include "session_files.h"
#include "sessionpool.h"
#include "template.h"
#include "usage.h"

#include <stdio.h>
#include <string.h>

enum {
	HELP_WORDS_MAX = 3, /* session code-interpreter execute */
};

static const char help[] = "Usage: hearth COMMAND [OPTION]... [ARGUMENT]...\n"
			   "\n"
			   "Runs code in microVMs of a Hearth service.\n"
			   "\n"
			   "Commands:\n"
			   "  run          run Python or Node code\n"
			   "  notebook     run a Jupyter notebook cell by cell\n"
			   "  sessionpool  create, update, show, list and delete session pools\n"
			   "  session      list, show, stop, fork, suspend and resume sessions; what their\n"
			   "               containers write; their files:\n"
			   "               hearth session code-interpreter --help\n"
			   "  image        import container images; list and remove them\n"
			   "  template     keep sessions as the beginning of others\n"
			   "  logs         show what hearthd has logged\n"
			   "  usage        show what sessions have used\n"
			   "  key          create, list and revoke API keys\n"
			   "  cert         make certificates for trying HTTPS\n"
			   "  bench        measure this machine: cold and warm starts, memory, peers; bench --help\n"
			   "  completion   print a script that completes commands and options in bash, zsh or fish\n"
			   "  version      print the version\n"
			   "  help         print this, or the help of a command: hearth help session logs\n"
			   "\n"
			   "Examples:\n"
			   "  hearth run -c 'import sys; print(sys.version)'\n"
			   "  hearth run examples/stats.py examples/primes.js\n"
			   "  hearth run --session work examples/plot.py\n"
			   "  hearth sessionpool create analysis --ready-sessions 10\n"
			   "  hearth help run\n";

static const struct command_group *const groups[] = { &sessionpool_commands, &session_commands,
						      &template_commands,    &key_commands,
						      &notebook_commands,    &image_commands,
						      &cert_commands,        NULL };

static const struct command *const singles[] = { &logs_command, &usage_command, NULL };

static const struct command *find_single(const char *name)
{
	for (size_t i = 0; singles[i]; i++)
		if (strcmp(singles[i]->name, name) == 0)
			return singles[i];
	return NULL;
}

static const struct command_group *find_group(const char *name)
{
	for (size_t i = 0; groups[i]; i++)
		if (strcmp(groups[i]->name, name) == 0)
			return groups[i];
	return NULL;
}

static int finish(void)
{
	return fflush(stdout) == 0 && !ferror(stdout) ? STATUS_OK : STATUS_SERVICE;
}

static int version_command(int argc, char **argv)
{
	(void)argc;
	(void)argv;
	fputs("hearth " HEARTH_VERSION "\n", stdout);
	return finish();
}

static int dispatch(int argc, char **argv);

/* `hearth help session logs` is `hearth session logs --help`. */
static int help_command(int argc, char **argv)
{
	static char option[] = "--help";
	char *words[HELP_WORDS_MAX + 3] = { argv[0] };
	int n = 1;

	if (argc < 2 || argv[1][0] == '-' || strcmp(argv[1], "help") == 0) {
		fputs(help, stdout);
		return finish();
	}
	for (; n < argc && n <= HELP_WORDS_MAX; n++)
		words[n] = argv[n];
	words[n++] = option;
	return dispatch(n, words);
}

/* What shells ask when a script of `hearth completion` is in use. */
static int complete_command(int argc, char **argv)
{
	static const char *const others[] = { "run", "bench", "completion", "version", "help", NULL };
	const struct completion_catalog catalog = {
		.groups = groups,
		.files = &session_files_commands,
		.singles = singles,
		.others = others,
		.run_options = run_options,
	};

	completion_print(&catalog, argc - 1, argv + 1, stdout);
	return finish();
}

static const struct {
	const char *name;
	int (*run)(int argc, char **argv);
} commands[] = {
	{ "run", run_command },
	{ "bench", bench_command },
	{ "version", version_command },
	{ "--version", version_command },
	{ "help", help_command },
	{ "--help", help_command },
	{ "-h", help_command },
	{ "completion", completion_command },
	{ "__complete", complete_command },
};

/* argv[1] is the command. */
static int dispatch(int argc, char **argv)
{
	const struct command_group *group;
	const struct command *single;

	for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++)
		if (strcmp(argv[1], commands[i].name) == 0)
			return commands[i].run(argc - 1, argv + 1);
	single = find_single(argv[1]);
	if (single)
		return command_run(single, argc - 1, argv + 1);
	group = find_group(argv[1]);
	if (group == &session_commands && argc > 2 && strcmp(argv[2], "code-interpreter") == 0)
		return command_group_run(&session_files_commands, argc - 2, argv + 2);
	if (group)
		return command_group_run(group, argc - 1, argv + 1);
	fprintf(stderr, "hearth: there is no such command: see hearth --help\n");
	return STATUS_USAGE;
}

int main(int argc, char **argv)
{
	if (argc < 2) {
		fputs(help, stderr);
		return STATUS_USAGE;
	}
	return dispatch(argc, argv);
}
