/*
 * Waits for the one connection on which a guest's agent says AGENT_READY, then for no other: no code of a tenant runs
 * in the guest before that, so what comes is the agent's, and nothing listens when code runs.
 */
#ifndef HEARTH_API_READY_LISTENER_H
#define HEARTH_API_READY_LISTENER_H

#include "api/agent_frames.h"

#include <uv.h>

struct ready_listener;

/* Called at most once. If what came was not AGENT_READY, `ready` is NULL and `problem` says so. */
typedef void (*ready_listener_cb)(void *owner, const struct agent_ready *ready, const char *problem);

/* Listens on the Unix socket `path`. NULL and -errno in *rc on failure. */
struct ready_listener *ready_listener_open(uv_loop_t *loop, const char *path, ready_listener_cb callback, void *owner,
					   int *rc);

/* Idempotent, NULL is fine; removes the socket, frees the listener later. No callback after it. */
void ready_listener_close(struct ready_listener *l);

#endif
