#include "process.h"

#include "common/cleanup.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

/* clone3's argument (linux/sched.h), whose header musl's own ones contradict. */
struct clone_args_v2 {
	uint64_t flags, pidfd, child_tid, parent_tid, exit_signal, stack, stack_size, tls, set_tid, set_tid_size,
		cgroup;
};
#define CLONE_INTO_CGROUP_FLAG 0x200000000ull

void process_limit(int resource, uint64_t wanted)
{
	struct rlimit value = { wanted, wanted };

	if (setrlimit(resource, &value) == 0 || getrlimit(resource, &value) < 0)
		return;
	value.rlim_cur = value.rlim_max;
	setrlimit(resource, &value);
}

void process_set_oom_score(const char *score)
{
	int fd = open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);

	if (fd < 0)
		return;
	if (write(fd, score, strlen(score)) < 0)
		errno = 0;
	close(fd);
}

void process_reset_signals(void)
{
	sigset_t none;

	for (int number = 1; number < NSIG; number++)
		signal(number, SIG_DFL);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
}

/* All of them are moved above the range that they go to first, because one may stand where another goes. */
int process_place_descriptors(int fds[], int n, int first)
{
	for (int i = 0; i < n; i++) {
		fds[i] = fcntl(fds[i], F_DUPFD_CLOEXEC, 16);
		if (fds[i] < 0)
			return -errno;
	}
	for (int i = 0; i < n; i++)
		if (dup2(fds[i], first + i) < 0)
			return -errno;
	return 0;
}

static int place_descriptors(const struct process_spec *spec)
{
	int fds[4] = { spec->input_fd, spec->output_fds[0], spec->output_fds[1], spec->control_fd };

	if (spec->input_fd < 0)
		fds[0] = open("/dev/null", O_RDONLY | O_CLOEXEC);
	return process_place_descriptors(fds, spec->control_fd < 0 ? 3 : 4, STDIN_FILENO);
}

static int drop_privileges(const struct process_spec *spec)
{
	if (spec->uid == 0)
		return 0;
	if (setgroups(0, NULL) < 0 || setgid(spec->gid) < 0 || setuid(spec->uid) < 0)
		return -errno;
	return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 ? -errno : 0;
}

static _Noreturn void become(const struct process_spec *spec)
{
	union {
		const char *const *in;
		char *const *out;
	} argv = { .in = spec->argv }, envp = { .in = spec->envp };

	setsid();
	process_reset_signals();
	if (getppid() != 1)
		prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
	setpriority(PRIO_PROCESS, 0, 0);
	process_set_oom_score("200");
	umask(022);
	process_limit(RLIMIT_CORE, 0);
	process_limit(RLIMIT_NOFILE, 16384);
	if (spec->uid != 0)
		process_limit(RLIMIT_NPROC, 1024);
	if (place_descriptors(spec) < 0 || drop_privileges(spec) < 0)
		_exit(126);
	if (chdir(spec->directory) < 0)
		errno = 0;
	environ = (char **)envp.out; /* it is its PATH that counts */
	execvp(argv.out[0], argv.out);
	dprintf(STDERR_FILENO, "hearth-agent: cannot run %s: %s\n", argv.out[0], strerror(errno));
	_exit(errno == ENOENT ? 127 : 126);
}

/* A child that is born in its cgroup need not be moved there, which costs the kernel an RCU grace period. */
pid_t process_fork(uint64_t flags, int cgroup_fd)
{
	struct clone_args_v2 args = { .flags = flags, .exit_signal = SIGCHLD };

	if (flags == 0 && cgroup_fd < 0)
		return fork();
	if (cgroup_fd >= 0) {
		args.flags |= CLONE_INTO_CGROUP_FLAG;
		args.cgroup = (uint64_t)cgroup_fd;
	}
	return (pid_t)syscall(SYS_clone3, &args, sizeof(args));
}

int process_spawn(const struct process_spec *spec, pid_t *pid)
{
	pid_t child = process_fork(0, spec->cgroup_fd);

	if (child < 0)
		return -errno;
	if (child == 0)
		become(spec);
	*pid = child;
	return 0;
}

void process_signal(pid_t pid, int number)
{
	/* One that was only just forked has no process group of its own yet. */
	if (kill(-pid, number) < 0)
		kill(pid, number);
}

static pid_t tracer_of(pid_t pid, const char *thread)
{
	char path[320], text[1024];
	const char *found;
	AUTO_FD int fd = -1;
	ssize_t size;

	snprintf(path, sizeof(path), "/proc/%d/task/%s/status", (int)pid, thread);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	size = fd < 0 ? -1 : read(fd, text, sizeof(text) - 1);
	text[size > 0 ? size : 0] = '\0';
	found = strstr(text, "\nTracerPid:\t");
	return found ? (pid_t)strtol(found + strlen("\nTracerPid:\t"), NULL, 10) : 0;
}

void process_end_tracers(pid_t pid)
{
	char path[64];
	const struct dirent *entry;
	DIR *threads;

	snprintf(path, sizeof(path), "/proc/%d/task", (int)pid);
	threads = opendir(path);
	while (threads && (entry = readdir(threads))) {
		pid_t tracer = entry->d_name[0] == '.' ? 0 : tracer_of(pid, entry->d_name);

		if (tracer > 1)
			kill(tracer, SIGKILL);
	}
	if (threads)
		closedir(threads);
}

uint8_t process_exit_status(int wait_status)
{
	return (uint8_t)(WIFSIGNALED(wait_status) ? 128 + WTERMSIG(wait_status) : WEXITSTATUS(wait_status));
}

static const char *signal_name(int number)
{
	static const struct {
		int number;
		const char *name;
	} names[] = {
		{ SIGHUP, "SIGHUP" },   { SIGINT, "SIGINT" },   { SIGQUIT, "SIGQUIT" },     { SIGILL, "SIGILL" },
		{ SIGTRAP, "SIGTRAP" }, { SIGABRT, "SIGABRT" }, { SIGBUS, "SIGBUS" },       { SIGFPE, "SIGFPE" },
		{ SIGKILL, "SIGKILL" }, { SIGUSR1, "SIGUSR1" }, { SIGSEGV, "SIGSEGV" },     { SIGUSR2, "SIGUSR2" },
		{ SIGPIPE, "SIGPIPE" }, { SIGALRM, "SIGALRM" }, { SIGTERM, "SIGTERM" },     { SIGXCPU, "SIGXCPU" },
		{ SIGXFSZ, "SIGXFSZ" }, { SIGSYS, "SIGSYS" },   { SIGVTALRM, "SIGVTALRM" },
	};

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (names[i].number == number)
			return names[i].name;
	return NULL;
}

void process_describe_end(int wait_status, char *text, size_t size)
{
	int number = WIFSIGNALED(wait_status) ? WTERMSIG(wait_status) : 0;

	if (!number)
		snprintf(text, size, "exited with status %d", WEXITSTATUS(wait_status));
	else if (signal_name(number))
		snprintf(text, size, "was killed by signal %d (%s)", number, signal_name(number));
	else
		snprintf(text, size, "was killed by signal %d", number);
}
