/*
 * Starting a program with limits in a session of its own, and telling how it ended.
 */
#ifndef HEARTH_AGENT_PROCESS_H
#define HEARTH_AGENT_PROCESS_H

#include <stddef.h>
#include <sys/types.h>

enum { PROCESS_CONTROL_FD = 3 }; /* where the child finds its control socket */

struct process_spec {
	const char *const *argv; /* argv[0] is the path of the program */
	const char *const *envp;
	const char *directory; /* where it starts; the agent's own if it cannot be entered */
	int output_fds[2];     /* become its stdout and stderr */
	int control_fd;        /* becomes PROCESS_CONTROL_FD */
	int cgroup_fd;         /* directory of the cgroup that it is born in, or -1 */
	uid_t uid;             /* 0: it keeps the agent's user and groups */
	gid_t gid;
};

/* Starts the program. 0 with *pid, or -errno. That it cannot be executed shows as exit status 127. */
int process_spawn(const struct process_spec *spec, pid_t *pid);

/* Writes how a process ended, as the end of a sentence: "exited with status 7", "was killed by signal 11 (SIGSEGV)". */
void process_describe_end(int wait_status, char *text, size_t size);

#endif
