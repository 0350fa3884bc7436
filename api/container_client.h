/*
 * A connection to the agent about the one container of its guest (agent_protocol.h): makes it, or takes up one that is
 * there, and hears of it until it ends. What the agent says is checked against the protocol; the first violation ends the
 * connection.
 */
#ifndef HEARTH_API_CONTAINER_CLIENT_H
#define HEARTH_API_CONTAINER_CLIENT_H

#include "api/agent_frames.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <uv.h>

struct container_client;

/* None is called after container_client_close(). The first three may be NULL. */
struct container_events {
	/* It can be used, or is held if it was to be. Once, if ever. */
	void (*usable)(void *owner);
	/* What it wrote to stdout or stderr. What comes too fast is lost: dropped() says how much of both. */
	void (*output)(void *owner, bool is_stderr, const uint8_t *data, size_t size);
	void (*dropped)(void *owner, uint64_t n_bytes);
	/* It has ended, perhaps before it could be used. */
	void (*exited)(void *owner, const struct agent_container_exit *exit);
	/* The connection is over, or an order was refused. `broke_protocol`: the agent is not to be trusted further. */
	void (*failed)(void *owner, const char *reason, bool broke_protocol);
};

/* What is to become of the container. All of it is copied. */
struct container_order {
	const void *start; /* the body of AGENT_CONTAINER_START; NULL: there is a container */
	size_t start_size;
	bool is_held;            /* its entrypoint is left for a later order; else one that is held is run */
	const char *environment; /* the body of AGENT_CONTAINER_ENVIRONMENT; NULL: nothing is handed over */
	size_t environment_size;
};

/* Connects through the VMM's socket at `path`. NULL and -errno in *rc if that cannot begin. */
struct container_client *container_client_open(uv_loop_t *loop, const char *path, const struct container_order *order,
					       const struct container_events *events, void *owner, int *rc);

/* Another owner's from now on. */
void container_client_hand_over(struct container_client *c, const struct container_events *events, void *owner);

/* Asks once for the container's end: its stop signal, and SIGKILL after `grace_ms`. exited() follows. False if it cannot. */
bool container_client_stop(struct container_client *c, uint32_t grace_ms);

/* Closes and frees; the container goes on. NULL is fine. */
void container_client_close(struct container_client *c);

#endif
