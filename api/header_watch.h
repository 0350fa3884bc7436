/*
 * The time that a connection has to send the headers of a request. The library's own clock starts anew with each byte,
 * so a client that sends one now and then would hold its connection for ever.
 */
#ifndef HEARTH_API_HEADER_WATCH_H
#define HEARTH_API_HEADER_WATCH_H

#include <stdbool.h>
#include <uv.h>

struct header_watch;

/* A connection: embedded where the connection is, or owned by who watches it. */
struct header_wait {
	struct header_wait *next, *previous;
	uint64_t since_ms;
	int fd; /* the connection's socket */
	bool is_waiting;
};

/* Gives every wait `timeout_s` seconds. NULL if there is no memory. */
struct header_watch *header_watch_create(uv_loop_t *loop, unsigned int timeout_s);

/* The connection waits for a request from now on; at the end of its time its socket is shut down. */
void header_watch_begin(struct header_watch *w, struct header_wait *wait);

/* The headers are there, or the connection is gone. Idempotent. */
void header_watch_end(struct header_watch *w, struct header_wait *wait);

/* All waits must have ended. NULL is fine; frees the watch, later. */
void header_watch_destroy(struct header_watch *w);

#endif
