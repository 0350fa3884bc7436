/*
 * Starting a program with limits in a session of its own, and telling how it ended.
 */
#ifndef HEARTH_AGENT_PROCESS_H
#define HEARTH_AGENT_PROCESS_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

enum { PROCESS_CONTROL_FD = 3 }; /* where the child finds its control socket, or whatever else it is given */

struct process_spec {
	const char *const *argv; /* argv[0] is the path of the program, or its name in a folder of envp's PATH */
	const char *const *envp;
	const char *directory; /* where it starts; the agent's own if it cannot be entered */
	int input_fd;          /* becomes its stdin; -1: that is /dev/null */
	int output_fds[2];     /* become its stdout and stderr */
	int control_fd;        /* becomes PROCESS_CONTROL_FD; -1: it has none */
	int cgroup_fd;         /* directory of the cgroup that it is born in, or -1 */
	uid_t uid;             /* 0: it keeps the agent's user and groups */
	gid_t gid;
};

/*
 * A fork with clone3's `flags`, in the cgroup whose directory cgroup_fd is (-1: the agent's). The child's PID, 0 in the
 * child, or -1 with errno.
 */
pid_t process_fork(uint64_t flags, int cgroup_fd);

/* For a child that is about to run a program: default actions for all signals, none blocked. */
void process_reset_signals(void);

/* For a child: both limits, or what may be had of them where the agent itself is not root. */
void process_limit(int resource, uint64_t wanted);

/*
 * For a child: makes n descriptors those from `first` on, without FD_CLOEXEC; all below 16. fds[] is where copies of them
 * are afterwards, with it. 0 or -errno.
 */
int process_place_descriptors(int fds[], int n, int first);

/* For a child: how soon the kernel ends it when memory runs out, from -1000 to 1000. */
void process_set_oom_score(const char *score);

/* Starts the program. 0 with *pid, or -errno. That there is none shows as exit status 127, that it cannot be run as 126. */
int process_spawn(const struct process_spec *spec, pid_t *pid);

/* A signal to the process group of a program that was started. */
void process_signal(pid_t pid, int number);

enum { PROCESS_KILL_LIMIT_US = 1000000 }; /* from SIGKILL to a process being reaped, before its tracers are ended */

/*
 * SIGKILL to whoever traces a thread of a child that was killed and is not reaped: until its tracers have looked at what is left
 * of it, or are gone, its parent hears nothing of its end.
 */
void process_end_tracers(pid_t pid);

/* The exit status of a process that ended; of one that a signal killed 128 and its number, as shells have it. */
uint8_t process_exit_status(int wait_status);

/* Writes how a process ended, as the end of a sentence: "exited with status 7", "was killed by signal 11 (SIGSEGV)". */
void process_describe_end(int wait_status, char *text, size_t size);

#endif
