#include "command.h"
#include "exit_status.h"
#include "interrupt.h"
#include "report.h"

#include <errno.h>
#include <signal.h>
#include <stdarg.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

/* ---- help -------------------------------------------------------------------------------------------------------- */

static void print_group_help(const struct command_group *group, FILE *out)
{
	fprintf(out, "Usage: hearth %s COMMAND [OPTION]... [ARGUMENT]...\n\n%s\n\nCommands:\n", group->name,
		group->summary);
	for (const struct command *c = group->commands; c->name; c++)
		fprintf(out, "  %-10s %s\n", c->name, c->summary);
	fprintf(out, "\nhearth %s COMMAND --help lists the options of one.\n\nExamples:\n%s", group->name,
		group->examples);
}

/* `group` ends with a space, or is empty. */
static void print_help(const char *group, const struct command *c, FILE *out)
{
	fprintf(out, "Usage: hearth %s%s [OPTION]...%s%s\n\n%s\n\n", group, c->name, *c->arguments ? " " : "",
		c->arguments, c->summary);
	options_print_help(c->options, out);
}

static int finish_help(void)
{
	return fflush(stdout) == 0 ? STATUS_OK : STATUS_SERVICE;
}

/* ---- running ----------------------------------------------------------------------------------------------------- */

static int run(const struct command *c, const struct options *o, struct error *err)
{
	struct service *service = service_create(o->url, o->token, o->ca_certificate, o->pool, err);
	int ret;

	if (!service)
		return -err->code;
	signal(SIGPIPE, SIG_IGN);
	ret = interrupt_catch();
	ret = ret < 0 ? error_set(err, STATUS_SERVICE, "cannot catch signals: %s", strerror(-ret))
		      : c->run(service, o, err);
	service_destroy(service);
	return ret;
}

static const struct command *find(const struct command_group *group, const char *name)
{
	for (const struct command *c = group->commands; c->name; c++)
		if (strcmp(c->name, name) == 0)
			return c;
	return NULL;
}

/* argv[0] is the command's name. */
static int parse_and_run(const char *group, const struct command *c, bool is_local, int argc, char **argv)
{
	struct error err = { 0 };
	struct options options;

	if (options_parse(&options, c->options, c->n_arguments_max, argc, argv, &err) < 0) {
		error_wrap(&err, "%s%s", group, c->name);
		return report(&err);
	}
	if (options.help) {
		print_help(group, c, stdout);
		return finish_help();
	}
	return (is_local ? c->run(NULL, &options, &err) : run(c, &options, &err)) < 0 ? report(&err) : STATUS_OK;
}

int command_run(const struct command *command, int argc, char **argv)
{
	return parse_and_run("", command, false, argc, argv);
}

int command_group_run(const struct command_group *group, int argc, char **argv)
{
	const struct command *c = argc > 1 ? find(group, argv[1]) : NULL;
	char name[32];

	if (argc > 1 &&
	    (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0 || strcmp(argv[1], "help") == 0)) {
		print_group_help(group, stdout);
		return finish_help();
	}
	if (argc < 2) {
		print_group_help(group, stderr);
		return STATUS_USAGE;
	}
	if (!c) {
		fprintf(stderr, "hearth: there is no such command of %s: see hearth %s --help\n", group->name,
			group->name);
		return STATUS_USAGE;
	}
	snprintf(name, sizeof(name), "%s ", group->name);
	return parse_and_run(name, c, group->is_local, argc - 1, argv + 1);
}

/* ---- for commands ------------------------------------------------------------------------------------------------ */

int command_confirm(const struct options *o, struct error *err, const char *question, ...)
{
	char answer[16];
	va_list args;

	if (o->yes)
		return 0;
	if (!isatty(STDIN_FILENO) || !isatty(STDERR_FILENO))
		return error_set(err, STATUS_USAGE, "nobody can be asked here: add --yes");
	va_start(args, question);
	vfprintf(stderr, question, args);
	va_end(args);
	fputs(" (y/N) ", stderr);
	if (fgets(answer, sizeof(answer), stdin) && (answer[0] == 'y' || answer[0] == 'Y'))
		return 0;
	return error_set(err, STATUS_USAGE, "nothing was done");
}

const char *command_name(const struct options *o, const char *otherwise, const char *what, struct error *err)
{
	const char *name = o->n_arguments ? o->arguments[0] : otherwise;

	if (!name || !*name) {
		error_set(err, STATUS_USAGE, "%s is missing", what);
		return NULL;
	}
	return name;
}
