#include "api/vmm_process.h"

#include "common/cleanup.h"
#include "common/user_namespace.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

enum {
	STACK_SIZE = 64 << 10,
	EXEC_FAILED = 127,
};

/* What the child is told and tells. It runs in our memory until it executes the file, and we wait meanwhile. */
struct start {
	const struct vmm_process *process;
	bool is_in_user_namespace;
	uid_t user;
	gid_t group;
	int problem; /* errno of what failed */
};

/* ---- in the child: nothing but system calls ---------------------------------------------------------------------- */

/* All signals are blocked now; hearthd's handlers must not run in the child. */
static void reset_signals(void)
{
	const struct sigaction as_default = { .sa_handler = SIG_DFL };
	sigset_t none;

	for (int number = 1; number < NSIG; number++)
		sigaction(number, &as_default, NULL);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
}

/* The child's descriptors are these alone, since everything else is opened close-on-exec. */
static bool place_descriptors(const struct vmm_process *process)
{
	const int null = open("/dev/null", O_RDONLY | O_CLOEXEC);

	if (null < 0 || dup2(null, STDIN_FILENO) < 0 || dup2(process->output_fd, STDOUT_FILENO) < 0 ||
	    dup2(STDOUT_FILENO, STDERR_FILENO) < 0)
		return false;
	for (unsigned int i = 0; i < process->n_inherited; i++)
		if (dup2(process->inherited[i].fd, process->inherited[i].as) < 0)
			return false;
	return true;
}

static int become_vmm(void *opaque)
{
	struct start *start = opaque;
	char *const no_environment[] = { NULL };

	start->problem = start->is_in_user_namespace ? -user_namespace_map(start->user, start->group) : 0;
	if (start->problem == 0) {
		setsid();
		reset_signals();
		if (place_descriptors(start->process))
			execve(start->process->arguments[0], start->process->arguments, no_environment);
		start->problem = errno;
	}
	_exit(EXEC_FAILED);
}

/* ---- in hearthd -------------------------------------------------------------------------------------------------- */

static int start_with(struct start *start, int namespaces, pid_t *pid)
{
	/* One child at a time uses it: we are in one thread, and wait until it has executed the file. */
	static char stack[STACK_SIZE] __attribute__((aligned(16)));
	sigset_t all, before;
	int problem;

	start->is_in_user_namespace = namespaces & CLONE_NEWUSER;
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	*pid = clone(become_vmm, stack + STACK_SIZE, CLONE_VM | CLONE_VFORK | namespaces | SIGCHLD, start);
	problem = *pid < 0 ? errno : start->problem;
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	if (*pid >= 0 && problem)
		waitpid(*pid, NULL, 0);
	return -problem;
}

int vmm_process_spawn(const struct vmm_process *process, pid_t *pid)
{
	/* Who may not make a PID namespace may in a user namespace. A jail that must be full ends where both fail. */
	static const int ways[] = { CLONE_NEWPID, CLONE_NEWPID | CLONE_NEWUSER, 0 };
	struct start start = { .process = process, .user = geteuid(), .group = getegid() };
	int status = -EPERM;

	for (size_t i = process->is_jailed ? 0 : 2;
	     i < 3 && (status == -EPERM || status == -ENOSPC || status == -EINVAL); i++)
		status = start_with(&start, ways[i], pid);
	return status;
}

static void read_all(int fd, char *text, size_t size)
{
	size_t length = 0;
	ssize_t n;

	while (length < size - 1 && (n = read(fd, text + length, size - 1 - length)) > 0)
		length += (size_t)n;
	text[length] = '\0';
	text[strcspn(text, "\n")] = '\0';
}

int vmm_process_probe_jail(const char *vmm, char *lacks, size_t size, struct error *err)
{
	char *const arguments[] = { (char *)vmm, "--probe-jail", NULL };
	struct vmm_process process = {
		.arguments = arguments, .n_inherited = 1, .output_fd = STDERR_FILENO, .is_jailed = true
	};
	AUTO_FD int from = -1, to = -1;
	int ends[2] = { -1, -1 }, exit_status = 0, status;
	pid_t pid = -1;

	lacks[0] = '\0';
	if (pipe2(ends, O_CLOEXEC) < 0)
		return error_set(err, errno, "cannot make a pipe: %s", strerror(errno));
	from = ends[0];
	to = ends[1];
	process.inherited[0] = (struct vmm_process_fd) { .fd = to, .as = STDOUT_FILENO };
	status = vmm_process_spawn(&process, &pid);
	if (status < 0)
		return error_set(err, -status, "cannot start %s: %s", vmm, strerror(-status));
	close(steal_fd(&to));
	read_all(from, lacks, size);
	waitpid(pid, &exit_status, 0);
	if (WIFEXITED(exit_status) && WEXITSTATUS(exit_status) == 0)
		lacks[0] = '\0';
	else if (!*lacks)
		return error_set(err, EIO, "%s --probe-jail says nothing", vmm);
	return 0;
}

bool vmm_process_has_id(pid_t pid, const char *id)
{
	char path[48], line[8192], *end, *word = line;
	FILE *file;
	size_t n;

	snprintf(path, sizeof(path), "/proc/%d/cmdline", (int)pid);
	file = fopen(path, "re");
	if (!file)
		return false;
	n = fread(line, 1, sizeof(line) - 1, file);
	fclose(file);
	line[n] = '\0';
	end = line + n;
	for (; word < end; word += strlen(word) + 1)
		if (strcmp(word, "--id") == 0 && word + 5 < end && strcmp(word + 5, id) == 0)
			return true;
	return false;
}
