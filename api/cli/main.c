/* hearth: the command line of the service. */
#include "exit_status.h"
#include "run.h"

#include <stdio.h>
#include <string.h>

static const char help[] = "Usage: hearth COMMAND [OPTION]... [ARGUMENT]...\n"
			   "\n"
			   "Runs code in microVMs of a Hearth service.\n"
			   "\n"
			   "Commands:\n"
			   "  run       run Python or Node code\n"
			   "  version   print the version\n"
			   "  help      print this, or the help of a command: hearth help run\n"
			   "\n"
			   "Examples:\n"
			   "  hearth run -c 'import sys; print(sys.version)'\n"
			   "  hearth run examples/stats.py examples/primes.js\n"
			   "  hearth run --session work examples/plot.py\n"
			   "  hearth help run\n";

static int print(const char *text)
{
	return fputs(text, stdout) >= 0 && fflush(stdout) == 0 ? STATUS_OK : STATUS_SERVICE;
}

static int version_command(int argc, char **argv)
{
	(void)argc;
	(void)argv;
	return print("hearth " HEARTH_VERSION "\n");
}

static int help_command(int argc, char **argv)
{
	return print(argc > 1 && strcmp(argv[1], "run") == 0 ? run_help : help);
}

static const struct {
	const char *name;
	int (*run)(int argc, char **argv);
} commands[] = {
	{ "run", run_command },   { "version", version_command }, { "--version", version_command },
	{ "help", help_command }, { "--help", help_command },     { "-h", help_command },
};

int main(int argc, char **argv)
{
	if (argc < 2) {
		fputs(help, stderr);
		return STATUS_USAGE;
	}
	for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++)
		if (strcmp(argv[1], commands[i].name) == 0)
			return commands[i].run(argc - 1, argv + 1);
	fprintf(stderr, "hearth: there is no such command: see hearth --help\n");
	return STATUS_USAGE;
}
