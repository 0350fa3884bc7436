/*
 * What hosts hear of the container: its state, its log and its end, each connection at its own pace.
 */
#ifndef HEARTH_AGENT_CONTAINER_WATCH_H
#define HEARTH_AGENT_CONTAINER_WATCH_H

#include "container_log.h"
#include "execution.h"
#include "common/agent_protocol.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A connection that hears of the container: embedded in it, all zero at first. */
struct container_watch {
	struct container_watch *next;
	struct execution_host *host; /* NULL: it hears nothing */
	uint64_t request;
	struct container_log_reader reader;
	bool state_is_due; /* it did not take the last one */
	bool end_is_told;
};

struct container_exit {
	uint32_t status, signal;
	uint64_t ran_us;
	char sentence[512]; /* "" while it has not ended */
};

/* Hears from now on, with this request number, from the oldest output that is kept. */
void container_watch_attach(struct container_watch *watch, struct execution_host *host, uint64_t request);

/* The host is gone; the container stays. Nothing happens if it was not attached. */
void container_watch_detach(struct container_watch *watch);

/* True while there is something to send as soon as the host takes it. */
bool container_watch_has_more(const struct container_watch *watch);

/* The host takes more. */
void container_watch_go_on(struct container_watch *watch);

/* ---- what there is to hear, for all of them ---------------------------------------------------------------------- */

/* Adds to the log. What hosts take of it is sent by the next container_watch_all_go_on(). */
void container_watch_log(enum output_stream stream, const uint8_t *data, size_t size);
void container_watch_all_go_on(void);

/* The state from now on. */
void container_watch_tell_state(enum agent_container_state state, const char *sentence);

/* The present state as the answer to an order. */
void container_watch_answer(struct execution_host *host, uint64_t request);

/* The end, once all of the log is there. `end` must stay. */
void container_watch_tell_exit(const struct container_exit *end);

#endif
