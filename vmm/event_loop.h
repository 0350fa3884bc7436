/*
 * epoll: from a descriptor to a callback. A loop is itself a descriptor, so one loop can be a source of another. What
 * happens while nobody runs a loop is found when it is run again.
 */
#ifndef HEARTH_VMM_EVENT_LOOP_H
#define HEARTH_VMM_EVENT_LOOP_H

#include <stdint.h>
#include <sys/epoll.h>

struct event_loop {
	int fd;
};

/*
 * Owned by who adds it and, as events can be under way when it is removed, never freed while its loop lives. A callback
 * must take a spurious call: its descriptor may have been closed or reused since the event was seen.
 */
struct event_source {
	int fd;
	void (*ready)(void *opaque, uint32_t events); /* EPOLL* bits */
	void *opaque;
};

/* All return 0 or -errno. */
int event_loop_open(struct event_loop *loop);
void event_loop_close(struct event_loop *loop);
int event_loop_add(struct event_loop *loop, struct event_source *source, uint32_t events);
int event_loop_modify(struct event_loop *loop, struct event_source *source, uint32_t events);
void event_loop_remove(struct event_loop *loop, const struct event_source *source);

/* Waits up to timeout_ms (-1: for ever) and calls who is ready, once. */
int event_loop_run_once(struct event_loop *loop, int timeout_ms);

/* For eventfds: add one, and take the count away. */
void eventfd_signal(int fd);
void eventfd_consume(int fd);

#endif
