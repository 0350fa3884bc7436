/*
 * The cgroups (version 2) that keep what user code starts away from the agent's own memory and process table:
 *
 *     user/          memory.max: all memory but a reserve for the agent and the kernel; pids.max
 *     user/NAME/     one for each interpreter, or command of a shell, and everything that it starts
 *
 * A process cannot leave its cgroup, so killing one ends all of an interpreter's descendants, daemons and fork bombs
 * included. Where there is no cgroup2 (the agent on a developer's machine) everything here does nothing.
 */
#ifndef HEARTH_AGENT_CGROUP_H
#define HEARTH_AGENT_CGROUP_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct cgroup {
	int directory_fd; /* -1: there is none */
};

/* Mounts cgroup2 on /sys/fs/cgroup and makes user/. 0 or -errno, after which cgroup_open() gives empty ones. */
int cgroup_setup(void);

/* Makes user/NAME. Without cgroups the result is one on which the other functions do nothing. */
struct cgroup cgroup_open(const char *name);

/* Lets each of them, those that are there and those to come, have at most `max` processes and threads. */
void cgroup_limit_processes(uint32_t max);

/* Sends SIGKILL to every process in it, atomically against fork. */
void cgroup_kill(const struct cgroup *cgroup);

/* Sends SIGKILL to every process in it but `spared`, which may be stopped for a moment. */
void cgroup_kill_others(const struct cgroup *cgroup, pid_t spared);

/* False without cgroups. */
bool cgroup_has_processes(const struct cgroup *cgroup);

/* How often a fork failed because its limit of processes was reached. */
uint64_t cgroup_refused_forks(const struct cgroup *cgroup);

/* How often the kernel killed one of its processes for want of memory; without cgroups, of any. */
uint64_t cgroup_oom_kills(const struct cgroup *cgroup);

#endif
