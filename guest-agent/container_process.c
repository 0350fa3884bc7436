#include "container_process.h"

#include "container_environment.h"
#include "container_privileges.h"
#include "process.h"
#include "common/cleanup.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

enum {
	MESSAGE_FD = 3, /* and nothing above it */
	DESCRIPTORS = 65536,
	STATUS_NOT_MADE = 125, /* as of docker run */
	STATUS_NOT_EXECUTABLE = 126,
	STATUS_NOT_FOUND = 127,
};

/* ---- messages ---------------------------------------------------------------------------------------------------- */

static void tell(enum container_message message, const void *data, size_t size)
{
	uint8_t text[1 + 1 + sizeof(((struct error *)0)->text)];

	text[0] = (uint8_t)message;
	memcpy(text + 1, data, size);
	if (send(MESSAGE_FD, text, 1 + size, MSG_NOSIGNAL) < 0)
		_exit(STATUS_NOT_MADE);
}

static _Noreturn void fail(uint8_t status, const struct error *err)
{
	uint8_t text[1 + sizeof(err->text)];
	size_t length = strlen(err->text);

	text[0] = status;
	memcpy(text + 1, err->text, length);
	tell(CONTAINER_FAILED, text, 1 + length);
	_exit(status);
}

/* Waits for the word to run. The variables that came with it: how many bytes. */
static size_t await_run(char *variables)
{
	char message[CONTAINER_MESSAGE_MAX];
	ssize_t size;

	do
		size = recv(MESSAGE_FD, message, sizeof(message), 0);
	while (size < 0 && errno == EINTR);
	/* The agent is gone, or says something else. */
	if (size < 1 || message[0] != CONTAINER_RUN)
		_exit(STATUS_NOT_MADE);
	memcpy(variables, message + 1, (size_t)size - 1);
	return (size_t)size - 1;
}

/* ---- what has to be known of the image --------------------------------------------------------------------------- */

/* At most CONTAINER_USER_FILE_MAX bytes of a regular file, and one more if there are more; nothing of anything else. */
static char *read_file(const char *path, size_t *size)
{
	AUTO_FD int fd = open(path, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	char *text = malloc(CONTAINER_USER_FILE_MAX + 1);
	struct stat status;
	ssize_t count;

	*size = 0;
	if (!text || fd < 0 || fstat(fd, &status) < 0 || !S_ISREG(status.st_mode))
		return text;
	while (*size < CONTAINER_USER_FILE_MAX + 1 &&
	       (count = read(fd, text + *size, CONTAINER_USER_FILE_MAX + 1 - *size)) > 0)
		*size += (size_t)count;
	return text;
}

static int resolve_user(const char *name, struct container_user *user, struct error *err)
{
	struct container_user_files files = { 0 };
	AUTO_FREE char *passwd = read_file("/etc/passwd", &files.passwd_size);
	AUTO_FREE char *group = read_file("/etc/group", &files.group_size);

	files.passwd = passwd;
	files.group = group;
	if (!passwd || !group) {
		error_set(err, ENOMEM, "no memory for the image's users");
		return -ENOMEM;
	}
	return container_user_resolve(name, &files, user, err);
}

/* ---- the entrypoint ---------------------------------------------------------------------------------------------- */

static const char *path_of(const char *const *environment)
{
	for (; *environment; environment++)
		if (strncmp(*environment, "PATH=", 5) == 0)
			return *environment + 5;
	return "";
}

/* Why a file that is there is not the program that it should be. */
static void explain(int problem, const char *path, mode_t mode, struct error *err)
{
	if (problem == ENOENT)
		error_set(err, problem, "the entrypoint %s needs an interpreter or loader that is not in the image",
			  path);
	else if (problem == ENOEXEC)
		error_set(err, problem,
			  "the entrypoint %s is no program for this machine, and no script with a #! line", path);
	else if (S_ISDIR(mode))
		error_set(err, problem, "the entrypoint %s is a folder", path);
	else if (problem == EACCES)
		error_set(err, problem, "the container's user may not execute the entrypoint %s: see its mode", path);
	else
		error_set(err, problem, "the entrypoint %s cannot be executed: %s", path, strerror(problem));
}

/*
 * Tries one file. Returns, with errno, if it is not there or cannot be reached; otherwise it is the one that is meant.
 */
static void try_file(const char *path, const char *const *argv, const char *const *environment)
{
	union {
		const char *const *in;
		char *const *out;
	} arguments = { .in = argv }, variables = { .in = environment };
	struct error err;
	struct stat status;
	int problem;

	execve(path, arguments.out, variables.out);
	problem = errno;
	if (stat(path, &status) < 0)
		return;
	explain(problem, path, status.st_mode, &err);
	fail(STATUS_NOT_EXECUTABLE, &err);
}

/* As the shell finds programs: a name without a slash in the folders of PATH. */
static _Noreturn void execute(const char *const *argv, const char *const *environment)
{
	const char *folders = path_of(environment);
	char path[4096];
	struct error err;

	if (strchr(argv[0], '/')) {
		try_file(argv[0], argv, environment);
		if (errno == EACCES)
			error_set(&err, EACCES, "the container's user may not enter the folder of the entrypoint %s",
				  argv[0]);
		else
			error_set(&err, ENOENT, "the entrypoint %s is not in the image", argv[0]);
		fail(STATUS_NOT_FOUND, &err);
	}
	for (const char *at = folders; *at;) {
		size_t length = strcspn(at, ":");

		if ((size_t)snprintf(path, sizeof(path), "%.*s%s%s", (int)length, at, length ? "/" : "./", argv[0]) <
		    sizeof(path))
			try_file(path, argv, environment);
		at += length + (at[length] == ':');
	}
	error_set(&err, ENOENT, "the entrypoint \"%.128s\" is not in the image: it is in no folder of PATH, %.256s",
		  argv[0], folders);
	fail(STATUS_NOT_FOUND, &err);
}

/* The working directory, made if it is missing, as Docker does; before its user may not enter it. */
static int enter_directory(const char *directory, struct error *err)
{
	char path[4096];

	if (!*directory)
		return 0;
	if ((size_t)snprintf(path, sizeof(path), "%s", directory) >= sizeof(path))
		return error_set(err, ENAMETOOLONG, "the working directory's path is too long");
	for (char *at = path + 1; *at; at++) {
		if (*at != '/')
			continue;
		*at = '\0';
		mkdir(path, 0755);
		*at = '/';
	}
	mkdir(path, 0755);
	if (chdir(path) < 0)
		return error_set(err, errno, "the working directory %.256s cannot be entered: %s", path,
				 strerror(errno));
	return 0;
}

/* Programs open /dev/stdout and /dev/stderr anew: the pipes have to be their user's. */
static void give_output(const struct container_user *user)
{
	for (int fd = STDOUT_FILENO; fd <= STDERR_FILENO; fd++)
		if (fchown(fd, user->uid, (gid_t)-1) < 0)
			continue;
}

static int place_input(struct error *err)
{
	int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);

	if (fd < 0 || dup2(fd, STDIN_FILENO) < 0)
		return error_set(err, errno, "no input for the container: %s", strerror(errno));
	close(fd);
	return 0;
}

static _Noreturn void run_entrypoint(const struct agent_container *container, const struct container_user *user,
				     const char *variables, size_t size)
{
	const char **environment = container_environment_make(container->variables, variables, size, user->home);
	struct error err = { 0 };
	int result;

	if (!environment)
		error_set(&err, ENOMEM, "no memory for the container's environment");
	setsid();
	process_reset_signals();
	process_set_oom_score("0");
	process_limit(RLIMIT_NOFILE, DESCRIPTORS);
	process_limit(RLIMIT_CORE, 0);
	umask(022);
	give_output(user);
	if (environment && place_input(&err) == 0 && enter_directory(container->directory, &err) == 0) {
		result = container_privileges_drop(user);
		if (result == 0)
			execute(container->arguments, environment);
		error_set(&err, -result, "become the container's user: %s", strerror(-result));
	}
	fail(STATUS_NOT_MADE, &err);
}

/* ---- process 1 --------------------------------------------------------------------------------------------------- */

/* Reaps what has ended. Does not return once the entrypoint has. */
static void reap(pid_t entrypoint)
{
	int status;
	pid_t pid;

	while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
		const uint32_t told = (uint32_t)status;

		if (pid != entrypoint)
			continue;
		tell(CONTAINER_EXITED, &told, sizeof(told));
		_exit(0);
	}
}

/* musl's sigfillset() leaves out the three that its threads use, and an entrypoint may be told to stop by any. */
static sigset_t every_signal(void)
{
	sigset_t set;

	memset(&set, 0xff, sizeof(set));
	return set;
}

/* All signals are blocked, so that none has its default effect, nor is dropped for having none in process 1. */
static _Noreturn void look_after(pid_t entrypoint)
{
	const sigset_t all = every_signal();

	for (;;) {
		siginfo_t info;
		int number = sigwaitinfo(&all, &info);

		if (number == SIGCHLD)
			reap(entrypoint);
		else if (number > 0 && info.si_pid == 0) /* from outside of the PID namespace: the agent */
			kill(entrypoint, number);
	}
}

static _Noreturn void be_init(const struct agent_container *container, const struct container_user *user,
			      const char *variables, size_t size)
{
	struct error err = { 0 };
	pid_t child = fork();
	int result;

	if (child == 0)
		run_entrypoint(container, user, variables, size);
	result = child < 0 ? -errno : container_privileges_drop_init();
	if (result < 0) {
		error_set(&err, -result, "run the container's init: %s", strerror(-result));
		fail(STATUS_NOT_MADE, &err);
	}
	look_after(child);
}

/* What comes from the agent goes to 1, 2 and MESSAGE_FD; all else of the agent's is closed. */
static int place_descriptors(const struct container_process_spec *spec)
{
	int fds[3] = { spec->output_fds[0], spec->output_fds[1], spec->message_fd };
	int result = process_place_descriptors(fds, 3, STDOUT_FILENO);

	return result < 0 || fcntl(MESSAGE_FD, F_SETFD, FD_CLOEXEC) == 0 ? result : -errno;
}

static _Noreturn void be_process_1(const struct container_process_spec *spec)
{
	static char variables[CONTAINER_MESSAGE_MAX];
	struct container_user user;
	const sigset_t all = every_signal();
	struct error err = { 0 };
	size_t size;

	prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
	prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
	prctl(PR_SET_NAME, "init", 0, 0, 0);
	sigprocmask(SIG_SETMASK, &all, NULL);
	umask(0);
	setpriority(PRIO_PROCESS, 0, 0);
	if (place_descriptors(spec) < 0)
		_exit(STATUS_NOT_MADE);
	setsid();
	/* Here and not when it was cloned: then its root would be the agent's cgroup. */
	unshare(CLONE_NEWCGROUP);
	if (container_mounts_make(&spec->files, &err) < 0 || resolve_user(spec->container->user, &user, &err) < 0)
		fail(STATUS_NOT_MADE, &err);
	syscall(SYS_close_range, MESSAGE_FD + 1, ~0u, 0);
	tell(CONTAINER_PREPARED, "", 0);
	size = await_run(variables);
	if (spec->container->flags & AGENT_CONTAINER_INIT)
		run_entrypoint(spec->container, &user, variables, size);
	be_init(spec->container, &user, variables, size);
}

int container_process_spawn(const struct container_process_spec *spec, pid_t *pid)
{
	pid_t child = process_fork(CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWIPC, spec->cgroup_fd);

	if (child < 0)
		return -errno;
	if (child == 0)
		be_process_1(spec);
	*pid = child;
	return 0;
}
