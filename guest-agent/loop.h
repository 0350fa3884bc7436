/*
 * The agent's one event loop: epoll for descriptors and a short list of timers. Nothing that it calls may block.
 */
#ifndef HEARTH_AGENT_LOOP_H
#define HEARTH_AGENT_LOOP_H

#include <stdbool.h>
#include <stdint.h>

/* A watched descriptor, embedded in its owner. */
struct loop_source {
	int fd;          /* -1 while it is not open; the owner opens it, and closes it with loop_close() */
	uint32_t events; /* what is watched now; 0 if it is not registered */
	void (*on_events)(struct loop_source *source, uint32_t events);
};

/* A one-shot timer, embedded in its owner. All zero is a stopped one once on_expiry is set. */
struct loop_timer {
	uint64_t due_us; /* 0 while it is stopped */
	struct loop_timer *next;
	void (*on_expiry)(struct loop_timer *timer);
};

/* 0 or -errno. There is one loop in the process. */
int loop_open(void);

/* Watches exactly `events` (EPOLLIN, EPOLLOUT, EPOLLRDHUP) from now on; 0 stops watching. 0 or -errno. */
int loop_watch(struct loop_source *source, uint32_t events);

/* Stops watching. Events of this source that are already fetched are not delivered any more. */
void loop_unwatch(struct loop_source *source);

/* The same, and closes its descriptor, which is -1 then. One that is not open is fine. */
void loop_close(struct loop_source *source);

/* (Re)starts the timer: it expires once, delay_us from now. */
void loop_timer_start(struct loop_timer *timer, uint64_t delay_us);
void loop_timer_stop(struct loop_timer *timer);

/* Waits once and runs what is due. 0 or -errno. */
int loop_turn(void);

/* Microseconds since the kernel booted. */
uint64_t loop_now_us(void);

#endif
