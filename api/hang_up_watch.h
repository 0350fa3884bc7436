/* Waits for the other end of a socket that nobody reads to hang up. */
#ifndef HEARTH_API_HANG_UP_WATCH_H
#define HEARTH_API_HANG_UP_WATCH_H

#include <uv.h>

struct hang_up_watch;

/*
 * Watches a copy of the socket, so that the original may be polled elsewhere. `callback` is called at most once, from
 * the loop. NULL if there is no memory or descriptor: then a hang-up goes unnoticed.
 */
struct hang_up_watch *hang_up_watch_start(uv_loop_t *loop, int fd, void (*callback)(void *data), void *data);

/* NULL is fine; frees the watch, later. */
void hang_up_watch_stop(struct hang_up_watch *w);

#endif
