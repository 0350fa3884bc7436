#include "run.h"
#include "common/cleanup.h"
#include "common/error.h"
#include "exit_status.h"
#include "interrupt.h"
#include "output.h"
#include "own_session.h"
#include "report.h"
#include "service.h"
#include "source.h"

#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

const char run_help[] =
	"Usage: hearth run [OPTION]... [FILE]...\n"
	"\n"
	"Runs code in a session of its own: a microVM that starts for it and ends after it. Files run one after the "
	"other\n"
	"in the same session; the first one that fails ends the run. FILE may be - for standard input, which is also "
	"read\n"
	"when there is neither FILE nor -c.\n"
	"\n"
	"  -c CODE               run CODE\n"
	"  -s, --session NAME    run in the session NAME, which keeps variables and files for the next run with that "
	"name\n"
	"  -p, --pool NAME       in that session pool; default: the pool `default`\n"
	"  -l, --language NAME   python, node or shell; without it the extension (.py, .js, .mjs, .cjs, .sh) or a\n"
	"                        #! line tells, and -c and standard input are what the pool is for, Python in most.\n"
	"                        Commands of a shell run in pools of the container type Shell, and code in the others\n"
	"  -t, --timeout SECONDS interrupt each piece of code after this time\n"
	"  -o, --output-dir DIR  save pictures as DIR/hearth-1.png and so on; default: here\n"
	"      --json            print the service's JSON answer, one line for each piece of code, instead of the "
	"output\n"
	"      --url URL         the service; default: $HEARTH_URL, or http://127.0.0.1:8080\n"
	"      --token TOKEN     its token; default: $HEARTH_TOKEN, the file $HEARTH_TOKEN_FILE, the file `token` "
	"beside\n"
	"                        this program, or $HEARTH_HOME/token. Others on this machine can see an argument\n"
	"      --ca-certificate FILE\n"
	"                        trust this certificate authority; default: $HEARTH_CA_CERTIFICATE, or the machine's "
	"own\n"
	"  -h, --help            print this\n"
	"\n"
	"What the code writes to its stdout and stderr comes out here as it is written, and the value of the last\n"
	"expression is printed, as in a notebook.\n"
	"\n"
	"Exit status: 0 the code ran to its end; 1 it failed; 2 the command line or the code cannot be used; 3 the "
	"service\n"
	"cannot be reached or did not do its part; 4 there is no such pool; 130 interrupted by Ctrl-C (the code is\n"
	"interrupted, too).\n"
	"\n"
	"Examples:\n"
	"  hearth run -c 'import sys; print(sys.version)'\n"
	"  hearth run examples/stats.py examples/primes.js\n"
	"  hearth run --session work -c 'x = 41' && hearth run --session work -c 'x + 1'\n"
	"  hearth run --output-dir pictures examples/plot.py\n"
	"  hearth run --pool shells -c 'ls -l | wc -l'\n"
	"  hearth run --language node -c 'await Promise.resolve(process.version)'\n"
	"  echo 'print(6 * 7)' | hearth run --timeout 10\n";

/* As parse_options() reads them: for completion. */
const struct option_spec run_options[] = {
	OPTION_WITHOUT_EFFECT(OPTION_TEXT, 'c', "", NULL),
	OPTION_WITHOUT_EFFECT(OPTION_TEXT, 's', "session", "run in that session, which stays"),
	OPTION_WITHOUT_EFFECT(OPTION_TEXT, 'p', "pool", "in that session pool"),
	OPTION_WITHOUT_EFFECT(OPTION_TEXT, 'l', "language", "python, node or shell"),
	OPTION_WITHOUT_EFFECT(OPTION_NUMBER, 't', "timeout", "interrupt each piece of code after this time"),
	OPTION_WITHOUT_EFFECT(OPTION_TEXT, 'o', "output-dir", "where pictures go"),
	OPTION_WITHOUT_EFFECT(OPTION_SWITCH, 0, "json", "print the service's JSON answer"),
	OPTION_WITHOUT_EFFECT(OPTION_TEXT, 0, "url", "the service"),
	OPTION_WITHOUT_EFFECT(OPTION_TEXT, 0, "token", "its token"),
	OPTION_WITHOUT_EFFECT(OPTION_TEXT, 0, "ca-certificate", "trust this certificate authority"),
	OPTION_WITHOUT_EFFECT(OPTION_SWITCH, 'h', "help", "print the help"),
	{ .kind = OPTION_END },
};

enum kind { KIND_FILE, KIND_TEXT, KIND_STDIN };

struct run_arguments {
	const char *url;
	const char *token;
	const char *ca_certificate;
	const char *pool;
	const char *session;
	const char *language;
	const char *output_directory;
	long timeout_s;
	bool json;
	bool help;
	struct run_item {
		enum kind kind;
		const char *value;
	} * items; /* in the order of the command line; as many as argc at most */
	size_t n_items;
};

/* ---- the command line -------------------------------------------------------------------------------------------- */

static void add_item(struct run_arguments *options, const char *value, bool is_code)
{
	enum kind kind = is_code ? KIND_TEXT : strcmp(value, "-") == 0 ? KIND_STDIN : KIND_FILE;

	options->items[options->n_items++] = (struct run_item) { .kind = kind, .value = value };
}

static int set_language(struct run_arguments *options, const char *name, struct error *err)
{
	static const char *const names[][2] = {
		{ "python", "python" }, { "py", "python" },   { "node", "node" },  { "javascript", "node" },
		{ "js", "node" },       { "shell", "shell" }, { "bash", "shell" }, { "sh", "shell" },
	};

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		if (strcasecmp(name, names[i][0]) == 0) {
			options->language = names[i][1];
			return 0;
		}
	}
	return error_set(err, STATUS_USAGE, "'%s' is not a language: it is python, node or shell", name);
}

static int set_timeout(struct run_arguments *options, const char *text, struct error *err)
{
	char *end;

	errno = 0;
	options->timeout_s = strtol(text, &end, 10);
	if (errno || end == text || *end || options->timeout_s < 1 || options->timeout_s > 86400)
		return error_set(err, STATUS_USAGE,
				 "'%s' is not a time limit: it is a number of seconds from 1 to 86400", text);
	return 0;
}

static int take_option(struct run_arguments *options, int option, struct error *err)
{
	switch (option) {
	case 1:
		add_item(options, optarg, false);
		return 0;
	case 'c':
		add_item(options, optarg, true);
		return 0;
	case 'p':
		options->pool = optarg;
		return optarg[0] ? 0 : error_set(err, STATUS_USAGE, "a pool's name cannot be empty");
	case 's':
		options->session = optarg;
		return optarg[0] ? 0 : error_set(err, STATUS_USAGE, "a session's name cannot be empty");
	case 'l':
		return set_language(options, optarg, err);
	case 't':
		return set_timeout(options, optarg, err);
	case 'o':
		options->output_directory = optarg;
		return optarg[0] ? 0 : error_set(err, STATUS_USAGE, "the output directory cannot be empty");
	case 'j':
		options->json = true;
		return 0;
	case 'u':
		options->url = optarg;
		return 0;
	case 'k':
		options->token = optarg;
		return 0;
	case 'C':
		options->ca_certificate = optarg;
		return optarg[0] ? 0 : error_set(err, STATUS_USAGE, "--ca-certificate takes a file");
	case 'h':
		options->help = true;
		return 0;
	default: /* getopt has said what is wrong with it */
		return error_set(err, STATUS_USAGE, "hearth run --help lists the options");
	}
}

static int parse_options(struct run_arguments *options, int argc, char **argv, struct error *err)
{
	static const struct option long_options[] = {
		{ "pool", required_argument, NULL, 'p' },
		{ "session", required_argument, NULL, 's' },
		{ "language", required_argument, NULL, 'l' },
		{ "timeout", required_argument, NULL, 't' },
		{ "output-dir", required_argument, NULL, 'o' },
		{ "json", no_argument, NULL, 'j' },
		{ "url", required_argument, NULL, 'u' },
		{ "ca-certificate", required_argument, NULL, 'C' },
		{ "token", required_argument, NULL, 'k' },
		{ "help", no_argument, NULL, 'h' },
		{ NULL, 0, NULL, 0 },
	};
	static char program_name[] = "hearth"; /* as getopt's messages name it */
	int option;

	argv[0] = program_name;
	/* The leading '-' hands over file names in their place among the options, as option 1. */
	while ((option = getopt_long(argc, argv, "-c:p:s:l:t:o:h", long_options, NULL)) != -1)
		if (take_option(options, option, err) < 0)
			return -STATUS_USAGE;
	while (optind < argc)
		add_item(options, argv[optind++], false);
	if (options->n_items || options->help)
		return 0;
	if (isatty(STDIN_FILENO))
		return error_set(err, STATUS_USAGE, "there is nothing to run: name a file, or see hearth run --help");
	add_item(options, "-", false);
	return 0;
}

/* ---- the run ----------------------------------------------------------------------------------------------------- */

static int read_sources(const struct run_arguments *options, struct source *sources, struct error *err)
{
	for (size_t i = 0; i < options->n_items; i++) {
		const struct run_item *item = &options->items[i];
		int ret = item->kind == KIND_FILE   ? source_from_file(&sources[i], item->value, options->language, err)
			  : item->kind == KIND_TEXT ? source_from_text(&sources[i], item->value, options->language, err)
						    : source_from_stdin(&sources[i], options->language, err);

		if (ret < 0)
			return ret;
	}
	return 0;
}

/* 0 if the code ran well, negative with *err set if not; the text is empty if the user has seen the reason. */
static int run_source(const struct run_arguments *options, struct service *service, const char *session,
		      const struct source *source, struct error *err)
{
	struct output output = { .directory = options->output_directory, .json = options->json };

	if (service_execute(service, session, source, options->timeout_s, output_event, &output, err) < 0) {
		if (interrupt_signal())
			return error_set(err, STATUS_SIGNAL + interrupt_signal(), "interrupted");
		if (output.error.code)
			*err = output.error;
		return -err->code;
	}
	if (!output.done)
		return error_set(err, STATUS_SERVICE,
				 "%s ended the answer before the code had ended: its log may say why",
				 service_url(service));
	return output.succeeded ? 0 : error_set(err, STATUS_CODE_FAILED, "%s", "");
}

static int run_sources(const struct run_arguments *options, struct service *service, const struct source *sources,
		       struct error *err)
{
	const char *session = options->session;
	char own_session[OWN_SESSION_SIZE];
	int ret = 0;

	if (!session) {
		if (own_session_name(own_session, err) < 0)
			return -err->code;
		session = own_session;
	}
	for (size_t i = 0; i < options->n_items && ret == 0; i++)
		ret = run_source(options, service, session, &sources[i], err);
	/* Nobody knows the name of our own session, so it ends with us. */
	if (session == own_session)
		service_end_session(service, session);
	return ret;
}

static int run_with_options(const struct run_arguments *options, struct error *err)
{
	AUTO_FREE struct source *sources = calloc(options->n_items + 1, sizeof(*sources));
	struct service *service = NULL;
	int ret;

	if (!sources)
		return error_set(err, STATUS_SERVICE, "not enough memory to start");
	ret = read_sources(options, sources, err);
	if (ret == 0)
		service = service_create(options->url, options->token, options->ca_certificate, options->pool, err);
	if (service) {
		signal(SIGPIPE, SIG_IGN);
		ret = interrupt_catch();
		ret = ret < 0 ? error_set(err, STATUS_SERVICE, "cannot catch signals: %s", strerror(-ret))
			      : run_sources(options, service, sources, err);
	}
	service_destroy(service);
	for (size_t i = 0; i < options->n_items; i++)
		source_fini(&sources[i]);
	return ret == 0 && !service ? -err->code : ret;
}

int run_command(int argc, char **argv)
{
	struct run_arguments options = { .output_directory = "." };
	AUTO_FREE struct run_item *items = calloc((size_t)argc + 1, sizeof(*items));
	struct error err = { .code = 0 };
	int ret;

	options.items = items;
	ret = items ? parse_options(&options, argc, argv, &err)
		    : error_set(&err, STATUS_SERVICE, "not enough memory to start");
	if (ret == 0 && options.help) {
		fputs(run_help, stdout);
		return fflush(stdout) == 0 ? STATUS_OK : STATUS_SERVICE;
	}
	if (ret == 0)
		ret = run_with_options(&options, &err);
	if (ret == 0)
		return STATUS_OK;
	return report(&err);
}
