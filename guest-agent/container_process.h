/*
 * The processes of a container: namespaces, process 1, the entrypoint. Process 1 is a fork of the agent that makes the
 * file systems, runs the entrypoint below itself, reaps orphans, passes on signals from outside and ends with the
 * entrypoint, which ends all of the container; or it becomes the entrypoint, if the image has an init of its own.
 *
 * It speaks with the agent in messages (a SOCK_SEQPACKET): a byte of container_message, then what that says.
 */
#ifndef HEARTH_AGENT_CONTAINER_PROCESS_H
#define HEARTH_AGENT_CONTAINER_PROCESS_H

#include "container_mounts.h"
#include "common/agent_container.h"

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

enum container_message {
	/* agent to process 1 */
	CONTAINER_RUN = 1, /* variables for the entrypoint beyond its own, each with a NUL */

	/* process 1 to agent */
	CONTAINER_PREPARED = 2, /* nothing follows */
	CONTAINER_FAILED = 3,   /* u8 exit status, then a sentence. The end */
	CONTAINER_EXITED = 4,   /* u32 wait status of the entrypoint. The end */
};

enum { CONTAINER_MESSAGE_MAX = 1 + AGENT_CONTAINER_ENVIRONMENT_MAX };

struct container_process_spec {
	const struct agent_container *container;
	struct container_file_system files;
	int cgroup_fd;     /* directory of its cgroup, or -1 */
	int output_fds[2]; /* become its stdout and stderr */
	int message_fd;
};

/* Starts process 1. 0 with *pid, or -errno. What fails after that is told by a message. */
int container_process_spawn(const struct container_process_spec *spec, pid_t *pid);

#endif
