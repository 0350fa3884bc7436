/*
 * hearth-agent: PID 1 of the guest. Prepares the guest, keeps a Python and a Node interpreter warm and runs commands of a
 * shell, or runs a container, and serves the protocol of common/agent_protocol.h until the VM is ended. Started as another process, with
 * --listen-unix, it serves the same protocol on a Unix socket without touching the machine, for development and tests.
 */
#include "container.h"
#include "execution.h"
#include "files.h"
#include "init.h"
#include "interpreter.h"
#include "loop.h"
#include "serve.h"
#include "settle.h"
#include "shell.h"
#include "token_offer.h"
#include "common/log.h"

#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/reboot.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

static const char usage[] =
	"Usage: hearth-agent --listen-unix PATH [OPTION]...\n"
	"Serves code execution, or a container, on a Unix socket. As PID 1 of a guest it takes no options.\n"
	"\n"
	"  --listen-unix PATH    the socket to listen on\n"
	"  --ready-unix PATH     a socket to connect to when it listens, to say so\n"
	"  --token-unix PATH     a socket that code is connected to when it asks for tokens\n"
	"  --driver-dir DIR      where python_driver.py and node_driver.js are (default /usr/lib/hearth)\n"
	"  --python FILE         the Python interpreter (default /usr/bin/python3)\n"
	"  --node FILE           the Node interpreter (default /usr/bin/node)\n"
	"  --shell FILE          the shell, a bash (default /bin/bash)\n"
	"  --work-dir DIR        where code starts (default: here)\n"
	"  --home DIR            HOME of the code (default: here)\n"
	"  --container-dir DIR   for a container and no interpreters: a tmpfs for what it writes (needs root)\n"
	"  --container-root DIR  the container's image, as a folder\n"
	"  --ingress-unix PATH   a socket whose connections go to the container's port\n"
	"  --version, --help\n";

struct settings {
	const char *python, *node, *shell, *driver_dir, *work_dir, *home, *token_path;
	uid_t uid;
	gid_t gid;
	struct serve_options serve;
	struct container_options container;
};

static struct settings settings = {
	.python = "/usr/bin/python3",
	.node = "/usr/bin/node",
	.shell = "/bin/bash",
	.driver_dir = "/usr/lib/hearth",
	.work_dir = INIT_WORK_DIRECTORY,
	.home = INIT_HOME_DIRECTORY,
	.uid = INIT_UID,
	.gid = INIT_GID,
};

static char python_driver[4096], node_driver[4096], path_variable[8192], home_variable[4096];
static const char *python_argv[] = { NULL, "-I", "-X", "utf8", python_driver, NULL };
/*
 * Without the check, a timer that is interrupted while it runs would abort Node. The memory reducer collects garbage in
 * whoever rests for eight seconds: in a clone this gives no memory back, it makes a sixth of the interpreter's pages
 * its own.
 */
static const char *node_argv[] = { NULL, "--no-force-async-hooks-checks", "--no-memory-reducer", node_driver, NULL };

/* Behind these is room for those of token_offer.h. */
enum { N_VARIABLES = 11 };

static const char *environment[] = {
	"MPLBACKEND=module://matplotlib_inline.backend_inline", /* of interpreters alone */
	path_variable,
	home_variable,
	"USER=hearth",
	"LOGNAME=hearth",
	"SHELL=/bin/bash",
	"LANG=C.UTF-8",
	"TERM=dumb",
	/* Debian guards the system's packages; here the system is the session's own. */
	"PIP_BREAK_SYSTEM_PACKAGES=1",
	"PIP_DISABLE_PIP_VERSION_CHECK=1",
	"NPM_CONFIG_UPDATE_NOTIFIER=false",
	[N_VARIABLES + TOKEN_OFFER_VARIABLES] = NULL,
};

static struct interpreter python = { .name = "python", .argv = python_argv };
static struct interpreter node = { .name = "node", .argv = node_argv };

static struct interpreter_listener listener;
static struct shell_settings shell = { .envp = environment + 1, .listener = &execution_shell_listener };
static bool is_init;
static bool ending;

/* PID 1 must not return: the kernel would panic. A reboot ends the VM. */
static _Noreturn void fail(const char *text)
{
	log_error("%s", text);
	if (is_init) {
		reboot(RB_AUTOBOOT);
		for (;;)
			pause();
	}
	exit(1);
}

/* Node's start would slow down Python's, which is asked for more often. */
static void on_ready(struct interpreter *interpreter)
{
	execution_listener.ready(interpreter);
	settle_on_ready(interpreter);
	if (interpreter == &python)
		interpreter_start(&node);
}

/* An execution may wait for one whose settling began for an order that has failed since. */
static void on_settled(struct interpreter *interpreter)
{
	settle_on_settled(interpreter);
	execution_listener.ready(interpreter);
}

static void on_death(struct interpreter *interpreter, const char *how)
{
	execution_listener.died(interpreter, how);
	settle_on_death(interpreter, how);
}

static void prepare_interpreter(struct interpreter *interpreter)
{
	interpreter->envp = environment;
	interpreter->directory = settings.work_dir;
	interpreter->uid = is_init ? settings.uid : 0;
	interpreter->gid = settings.gid;
	interpreter->listener = &listener;
	interpreter_init(interpreter);
}

static void prepare_interpreters(void)
{
	listener = execution_listener;
	listener.ready = on_ready;
	listener.settled = on_settled;
	listener.died = on_death;
	python_argv[0] = settings.python;
	node_argv[0] = settings.node;
	snprintf(python_driver, sizeof(python_driver), "%s/python_driver.py", settings.driver_dir);
	snprintf(node_driver, sizeof(node_driver), "%s/node_driver.js", settings.driver_dir);
	snprintf(path_variable, sizeof(path_variable),
		 "PATH=%s/.local/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", settings.home);
	snprintf(home_variable, sizeof(home_variable), "HOME=%s", settings.home);
	prepare_interpreter(&python);
	prepare_interpreter(&node);
}

static void prepare_shell(void)
{
	shell.shell = settings.shell;
	shell.directory = settings.work_dir;
	shell.uid = is_init ? settings.uid : 0;
	shell.gid = settings.gid;
	shell_init(&shell);
}

static void reap(void)
{
	int status;
	pid_t pid;

	while ((pid = waitpid(-1, &status, WNOHANG)) > 0)
		if (!interpreter_reaped(&python, pid, status) && !interpreter_reaped(&node, pid, status) &&
		    !shell_reaped(pid, status))
			container_reaped(pid, status);
}

static void on_signal(struct loop_source *source, uint32_t events)
{
	struct signalfd_siginfo info;

	(void)events;
	while (read(source->fd, &info, sizeof(info)) == (ssize_t)sizeof(info))
		if (info.ssi_signo != SIGCHLD)
			ending = true;
	reap();
}

static int watch_signals(void)
{
	static struct loop_source source = { .on_events = on_signal };
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGCHLD);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	sigprocmask(SIG_BLOCK, &set, NULL);
	signal(SIGPIPE, SIG_IGN);
	source.fd = signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
	if (source.fd < 0)
		return -errno;
	return loop_watch(&source, EPOLLIN);
}

/* The kernel makes variables of what it does not know on its command line. */
static int prepare_guest(struct error *err)
{
	const char *value = getenv("HEARTH_CONTAINER");

	if (value && strcmp(value, "1") == 0)
		settings.container.scratch = INIT_CONTAINER_DIRECTORY;
	settings.container.is_machine_ours = true;
	return init_guest(settings.container.scratch != NULL, err);
}

enum {
	LISTEN,
	READY,
	TOKENS,
	DRIVERS,
	PYTHON,
	NODE,
	SHELL,
	WORK,
	HOME,
	CONTAINER,
	IMAGE,
	INGRESS,
	N_PATHS,
	VERSION,
	HELP,
};

static const struct option option_names[] = {
	{ "listen-unix", required_argument, NULL, LISTEN },
	{ "ready-unix", required_argument, NULL, READY },
	{ "token-unix", required_argument, NULL, TOKENS },
	{ "driver-dir", required_argument, NULL, DRIVERS },
	{ "python", required_argument, NULL, PYTHON },
	{ "node", required_argument, NULL, NODE },
	{ "shell", required_argument, NULL, SHELL },
	{ "work-dir", required_argument, NULL, WORK },
	{ "home", required_argument, NULL, HOME },
	{ "container-dir", required_argument, NULL, CONTAINER },
	{ "container-root", required_argument, NULL, IMAGE },
	{ "ingress-unix", required_argument, NULL, INGRESS },
	{ "version", no_argument, NULL, VERSION },
	{ "help", no_argument, NULL, HELP },
	{ NULL, 0, NULL, 0 },
};

static const char **const option_paths[N_PATHS] = {
	[LISTEN] = &settings.serve.unix_path,
	[READY] = &settings.serve.ready_path,
	[TOKENS] = &settings.token_path,
	[DRIVERS] = &settings.driver_dir,
	[PYTHON] = &settings.python,
	[NODE] = &settings.node,
	[SHELL] = &settings.shell,
	[WORK] = &settings.work_dir,
	[HOME] = &settings.home,
	[CONTAINER] = &settings.container.scratch,
	[IMAGE] = &settings.container.lower,
	[INGRESS] = &settings.container.ingress_path,
};

/* The options of a process that is not PID 1. Exits where they make no sense. */
static void parse_options(int argc, char **argv)
{
	int option;

	settings.work_dir = settings.home = ".";
	while ((option = getopt_long(argc, argv, "", option_names, NULL)) >= 0) {
		if (option >= 0 && option < N_PATHS) {
			*option_paths[option] = optarg;
		} else if (option == VERSION || option == HELP) {
			fputs(option == HELP ? usage : "hearth-agent " HEARTH_VERSION "\n", stdout);
			exit(0);
		} else {
			exit(2);
		}
	}
	if (optind < argc || !settings.serve.unix_path) {
		fputs(usage, stderr);
		exit(2);
	}
}

int main(int argc, char **argv)
{
	struct error err;
	int result;

	settings.serve.began_us = loop_now_us();
	settings.serve.python = &python;
	settings.serve.node = &node;
	is_init = getpid() == 1;
	settings.serve.is_machine_ours = is_init;
	log_identity("agent");
	if (!is_init)
		parse_options(argc, argv);
	else if (prepare_guest(&err) < 0)
		fail(err.text);
	/* Orphans of user code come here to be reaped, as they do to PID 1. */
	if (!is_init)
		prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);
	if (loop_open() < 0 || watch_signals() < 0)
		fail("no event loop");
	container_init(&settings.container);
	prepare_interpreters();
	prepare_shell();
	token_offer_init(environment + N_VARIABLES, settings.token_path, &python, &node);
	/* First of all, because it is what the first execution waits for. */
	if (!container_is_meant())
		interpreter_start(&python);
	result = files_open(settings.work_dir, is_init ? settings.uid : (uid_t)-1, settings.gid);
	if (result < 0)
		log_warn("no files: %s: %s", settings.work_dir, strerror(-result));
	result = serve_start(&settings.serve);
	if (result < 0) {
		error_set(&err, -result, "cannot listen: %s", strerror(-result));
		fail(err.text);
	}
	while (!ending && result == 0)
		result = loop_turn();
	interpreter_stop(&python);
	interpreter_stop(&node);
	shell_stop();
	container_kill();
	if (is_init || result < 0)
		fail(result < 0 ? "the event loop failed" : "asked to end");
	return 0;
}
