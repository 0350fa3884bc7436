/*
 * A connection to the agent in a guest: through the VMM's vsock socket, by its CONNECT line, then frames both ways. What
 * the frames mean is their owner's (agent_client.h, agent_file.h), of which this is a part.
 */
#ifndef HEARTH_API_AGENT_CONNECTION_H
#define HEARTH_API_AGENT_CONNECTION_H

#include "api/agent_frames.h"
#include "api/vsock_connect.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <uv.h>

/* None but closed() is called after agent_connection_close(). */
struct agent_connection_events {
	void (*connected)(void *owner);
	/* connection->frames holds a frame. 0, or -EPROTO if the agent may not send it now. */
	int (*frame)(void *owner);
	/* A write went out; may be NULL. */
	void (*written)(void *owner);
	/* The connection is over; the owner closes it. `broke_protocol`: the agent is not to be trusted further. */
	void (*failed)(void *owner, const char *reason, bool broke_protocol);
	/* Nothing of it is left: the memory may be freed. */
	void (*closed)(void *owner);
};

struct agent_connection {
	uv_pipe_t pipe;
	uv_connect_t connect;
	const struct agent_connection_events *events;
	void *owner;
	struct vsock_answer answer;
	bool is_connected;
	bool is_paused;
	bool is_closing;
	struct agent_frames frames;
	uint8_t chunk[64 << 10];
};

/* Bytes on their way, from malloc(). */
struct agent_write {
	uv_write_t request;
	uint8_t data[];
};

/*
 * Begins to connect a zeroed connection to AGENT_PORT through the socket at `path`. 0, and agent_connection_close() is
 * due, or -errno, and it is not.
 */
int agent_connection_open(struct agent_connection *c, uv_loop_t *loop, const char *path,
			  const struct agent_connection_events *events, void *owner);

/* Room for a write of `size` bytes; NULL if there is no memory. */
struct agent_write *agent_write_new(size_t size);

/* Sends the first `size` bytes of the write, which is taken over in any case. 0 or -errno. */
int agent_connection_send(struct agent_connection *c, struct agent_write *write, size_t size);

/* Bytes that were sent and have not gone out. */
size_t agent_connection_backlog(const struct agent_connection *c);

/* While paused nothing is read. */
void agent_connection_pause(struct agent_connection *c, bool paused);

/* Idempotent; closed() follows. */
void agent_connection_close(struct agent_connection *c);

#endif
