/*
 * The body of AGENT_CONTAINER_START (common/agent_protocol.h): what a container is made of and how it is looked after.
 *
 *     u32 flags (enum agent_container_flag), u8 disks, u8 stop signal, u16 target port, u32 probes
 *     text user, text working directory
 *     u32 count and as many texts: the entrypoint's arguments; likewise the environment
 *     for each probe:
 *         u8 agent_probe_kind, u8 agent_probe_action, u16 port, u32 initial delay, u32 period, u32 timeout (ms),
 *         u32 success threshold, u32 failure threshold, text path, u32 count and as many texts: header lines
 *
 * A text is its bytes and a NUL. A body has one encoding, and nothing after it.
 */
#ifndef HEARTH_COMMON_AGENT_CONTAINER_H
#define HEARTH_COMMON_AGENT_CONTAINER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
	AGENT_CONTAINER_DISKS_MAX = 7,
	AGENT_CONTAINER_TEXTS_MAX = 1024,   /* arguments, and variables */
	AGENT_CONTAINER_BODY_MAX = 1 << 20, /* bytes */
	AGENT_CONTAINER_PROBES_MAX = 3,     /* one of each kind */
	AGENT_PROBE_HEADERS_MAX = 16,       /* header lines of one probe */
	AGENT_PROBE_TEXT_MAX = 4096,        /* bytes of a probe's path and header lines together */
	AGENT_PROBE_MS_MAX = 24 * 3600 * 1000,
	AGENT_SIGNAL_MAX = 64,
	AGENT_CONTAINER_LOG_MAX = 64 << 10,         /* bytes of its output that the agent keeps */
	AGENT_CONTAINER_ENVIRONMENT_MAX = 64 << 10, /* bytes of all variables that were handed to it */
};

enum agent_container_flag {
	AGENT_CONTAINER_HOLD = 1, /* make it, but run the entrypoint only at AGENT_CONTAINER_RUN */
	AGENT_CONTAINER_INIT = 2, /* the entrypoint is an init itself: it is process 1, which reaps orphans and has to
	                           * handle the stop signal; otherwise an init of the agent's is, above it */
	AGENT_CONTAINER_FLAGS = 3,
};

/* As Kubernetes has them. */
enum agent_probe_kind {
	AGENT_PROBE_STARTUP = 1,  /* until it succeeds the others wait; its failure ends the container */
	AGENT_PROBE_LIVENESS = 2, /* its failure ends the container */
	AGENT_PROBE_READINESS = 3,
};

enum agent_probe_action {
	AGENT_PROBE_HTTP = 1, /* GET; a status from 200 to 399 is success */
	AGENT_PROBE_TCP = 2,  /* a connection is success; no path, no headers */
};

struct agent_probe {
	enum agent_probe_kind kind;
	enum agent_probe_action action;
	uint16_t port;
	uint32_t initial_delay_ms, period_ms, timeout_ms;
	uint32_t success_threshold, failure_threshold; /* in a row */
	const char *path;                              /* "" for TCP */
	uint32_t n_headers;
	const char *headers[AGENT_PROBE_HEADERS_MAX]; /* "Name: value" */
};

struct agent_container {
	uint32_t flags;
	uint8_t n_disks; /* EROFS images, lowest layer first, from the guest's second disk on */
	uint8_t stop_signal;
	uint16_t target_port;  /* where it serves; 0: nowhere */
	const char *user;      /* "USER" or "USER:GROUP", names or numbers; "": root */
	const char *directory; /* absolute, made if it is missing; "": / */
	uint32_t n_arguments;  /* at least one */
	const char *arguments[AGENT_CONTAINER_TEXTS_MAX + 1];
	uint32_t n_variables;
	const char *variables[AGENT_CONTAINER_TEXTS_MAX + 1]; /* NAME=VALUE */
	uint32_t n_probes;
	struct agent_probe probes[AGENT_CONTAINER_PROBES_MAX];
};

/* Whether a variable is NAME=VALUE. */
bool agent_variable_is_sound(const char *text);

/*
 * Writes the body. Its size in bytes, or 0 if it does not fit: AGENT_CONTAINER_BODY_MAX bytes are enough for what is
 * sound.
 */
size_t agent_container_encode(const struct agent_container *container, void *body, size_t size);

/*
 * Reads and checks a body. NULL, or a sentence that says what makes no sense. The texts lie in the body, and both lists
 * end with NULL.
 */
const char *agent_container_decode(const void *body, size_t size, struct agent_container *container);

/* Sets or clears AGENT_CONTAINER_HOLD in a body that was encoded. */
void agent_container_set_hold(void *body, bool is_held);

#endif
