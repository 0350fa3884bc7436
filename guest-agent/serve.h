/*
 * The agent's socket: connections, their frames, and the word to the host that the agent listens.
 */
#ifndef HEARTH_AGENT_SERVE_H
#define HEARTH_AGENT_SERVE_H

#include "interpreter.h"

struct serve_options {
	const char *unix_path;  /* listen here instead of on vsock port AGENT_PORT */
	const char *ready_path; /* say AGENT_READY here instead of to the host's port; NULL: nowhere */
	uint64_t began_us;      /* when the agent's main began, on loop_now_us()'s clock */
	bool is_machine_ours;   /* PID 1: an adoption changes clock, names and random generator of the machine */
	struct interpreter *python;
	struct interpreter *node;
};

/* Starts listening and sends AGENT_READY. 0 or -errno. `options` must stay. */
int serve_start(const struct serve_options *options);

#endif
