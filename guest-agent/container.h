/*
 * The one container of a guest that was made for one (AGENT_CONTAINER_*): orders, and its life from START to EXITED.
 */
#ifndef HEARTH_AGENT_CONTAINER_H
#define HEARTH_AGENT_CONTAINER_H

#include "container_watch.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct container_options {
	const char *scratch;      /* a folder for what it writes; NULL: this guest is for interpreters */
	const char *lower;        /* its image as a folder, instead of disks; may be NULL */
	const char *ingress_path; /* where ingress listens, instead of on a vsock; may be NULL */
	bool is_machine_ours;     /* PID 1 */
};

/* `options` must stay. Before the others. */
void container_init(const struct container_options *options);

/* True for a guest that is for a container, whether there is one or not. */
bool container_is_meant(void);

/* True for the types of frames that container_take() takes. */
bool container_is_about(uint16_t type);

/*
 * Obeys or refuses an order; the frame stays the caller's. `watch` may hear of it all. False if the host broke the
 * protocol.
 */
bool container_take(struct container_watch *watch, struct execution_host *host, const struct frame *frame);

/* Variables, as AGENT_CONTAINER_ENVIRONMENT has them, from the agent itself. Those that do not fit are logged. */
void container_hand_over(const char *variables, size_t size);

/* NULL if the guest may be saved now, or a sentence that says why not. */
const char *container_objection_to_save(void);

/* A child was reaped. True if it was the container's. */
bool container_reaped(pid_t pid, int wait_status);

/* SIGKILL for all of it, and waits until it has ended: for the end of the agent. */
void container_kill(void);

#endif
