/*
 * A connection to the target port of the container in a guest (agent_protocol.h): through the VMM's vsock socket, by its
 * CONNECT line and the agent's byte, then bytes both ways. What they mean is the owner's.
 */
#ifndef HEARTH_API_INGRESS_H
#define HEARTH_API_INGRESS_H

#include <stdbool.h>
#include <stddef.h>
#include <uv.h>

struct ingress;

/* None is called after ingress_close(), nor from within the functions below. */
struct ingress_events {
	void (*connected)(void *owner);
	/* There is none: the agent's errno value and a sentence that says so; or 0, if not even the agent answered. */
	void (*refused)(void *owner, int code, const char *reason);
	/* Valid during the call. */
	void (*data)(void *owner, const char *data, size_t size);
	/* The container sends no more: `is_broken` if that was not its end of file. */
	void (*ended)(void *owner, bool is_broken);
	/* What was written went out, or cannot any more; or the shutdown did. May be NULL. */
	void (*written)(void *owner);
};

/* Begins to connect through the socket at `path`. NULL if there is no memory. */
struct ingress *ingress_open(uv_loop_t *loop, const char *path, const struct ingress_events *events, void *owner);

/* Another owner's from now on. */
void ingress_hand_over(struct ingress *i, const struct ingress_events *events, void *owner);

/* Copies and sends; dropped once the container takes nothing any more. False if there is no memory. */
bool ingress_write(struct ingress *i, const void *data, size_t size);

/* Bytes that were written and have not gone out. */
size_t ingress_backlog(const struct ingress *i);

/* True once the container takes nothing any more: it may still have something to say. */
bool ingress_is_deaf(const struct ingress *i);

/* While paused nothing is read. */
void ingress_pause(struct ingress *i, bool paused);

/* Nothing more will be written: the container sees the end of file after what is on its way. */
void ingress_shutdown(struct ingress *i);

/* Closes and frees. NULL is fine. */
void ingress_close(struct ingress *i);

#endif
