#include "api/header_watch.h"

#include <stdlib.h>
#include <sys/socket.h>

/* All have the same time, so the list is in the order of their deadlines. */
struct header_watch {
	uv_timer_t timer; /* runs while the list is not empty */
	uint64_t timeout_ms;
	struct header_wait *first, *last;
};

static void on_timer(uv_timer_t *timer);

static void schedule(struct header_watch *w)
{
	uint64_t now = uv_now(w->timer.loop), at;

	if (!w->first) {
		uv_timer_stop(&w->timer);
		return;
	}
	at = w->first->since_ms + w->timeout_ms;
	uv_timer_start(&w->timer, on_timer, at > now ? at - now : 0, 0);
}

/* Whoever serves the connection sees the end of its stream, and closes it. */
static void on_timer(uv_timer_t *timer)
{
	struct header_watch *w = timer->data;

	while (w->first && w->first->since_ms + w->timeout_ms <= uv_now(timer->loop)) {
		shutdown(w->first->fd, SHUT_RDWR);
		header_watch_end(w, w->first);
	}
	schedule(w);
}

struct header_watch *header_watch_create(uv_loop_t *loop, unsigned int timeout_s)
{
	struct header_watch *w = calloc(1, sizeof(*w));

	if (!w)
		return NULL;
	w->timeout_ms = 1000ULL * timeout_s;
	uv_timer_init(loop, &w->timer);
	w->timer.data = w;
	return w;
}

void header_watch_begin(struct header_watch *w, struct header_wait *wait)
{
	header_watch_end(w, wait);
	wait->since_ms = uv_now(w->timer.loop);
	wait->is_waiting = true;
	wait->next = NULL;
	wait->previous = w->last;
	if (w->last)
		w->last->next = wait;
	else
		w->first = wait;
	w->last = wait;
	if (w->first == wait)
		schedule(w);
}

/* A timer that fires for one that has gone finds nothing to do, and looks for the next. */
void header_watch_end(struct header_watch *w, struct header_wait *wait)
{
	if (!wait->is_waiting)
		return;
	wait->is_waiting = false;
	if (wait->previous)
		wait->previous->next = wait->next;
	else
		w->first = wait->next;
	if (wait->next)
		wait->next->previous = wait->previous;
	else
		w->last = wait->previous;
}

static void on_closed(uv_handle_t *handle)
{
	free(handle->data);
}

void header_watch_destroy(struct header_watch *w)
{
	if (w)
		uv_close((uv_handle_t *)&w->timer, on_closed);
}
