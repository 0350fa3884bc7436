#include "loop.h"

#include <errno.h>
#include <sys/epoll.h>
#include <time.h>
#include <unistd.h>

enum { EVENTS_MAX = 16 };

static int epoll_fd = -1;
static struct loop_timer *timers;
/* The batch being delivered, so that loop_unwatch() can take a source out of it. */
static struct epoll_event batch[EVENTS_MAX];
static int batch_size;

int loop_open(void)
{
	epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	return epoll_fd < 0 ? -errno : 0;
}

int loop_watch(struct loop_source *source, uint32_t events)
{
	struct epoll_event event = { .events = events, .data.ptr = source };
	int operation = source->events ? EPOLL_CTL_MOD : EPOLL_CTL_ADD;

	if (events == source->events)
		return 0;
	if (events == 0) {
		loop_unwatch(source);
		return 0;
	}
	if (epoll_ctl(epoll_fd, operation, source->fd, &event) < 0)
		return -errno;
	source->events = events;
	return 0;
}

void loop_unwatch(struct loop_source *source)
{
	if (source->events)
		epoll_ctl(epoll_fd, EPOLL_CTL_DEL, source->fd, NULL);
	source->events = 0;
	for (int i = 0; i < batch_size; i++)
		if (batch[i].data.ptr == source)
			batch[i].data.ptr = NULL;
}

void loop_close(struct loop_source *source)
{
	if (source->fd < 0)
		return;
	loop_unwatch(source);
	close(source->fd);
	source->fd = -1;
}

uint64_t loop_now_us(void)
{
	struct timespec now;

	clock_gettime(CLOCK_BOOTTIME, &now);
	return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

void loop_timer_start(struct loop_timer *timer, uint64_t delay_us)
{
	loop_timer_stop(timer);
	timer->due_us = loop_now_us() + delay_us;
	timer->next = timers;
	timers = timer;
}

void loop_timer_stop(struct loop_timer *timer)
{
	if (!timer->due_us)
		return;
	timer->due_us = 0;
	for (struct loop_timer **link = &timers; *link; link = &(*link)->next)
		if (*link == timer) {
			*link = timer->next;
			return;
		}
}

/* Milliseconds until the next timer, rounded up so that it is due then; -1 if there is none. */
static int wait_ms(void)
{
	uint64_t now_us = loop_now_us();
	uint64_t due_us = UINT64_MAX;

	for (struct loop_timer *timer = timers; timer; timer = timer->next)
		if (timer->due_us < due_us)
			due_us = timer->due_us;
	if (due_us == UINT64_MAX)
		return -1;
	if (due_us <= now_us)
		return 0;
	/* Far timers are looked at again once an hour, which keeps the sum in an int. */
	return due_us - now_us > 3600000000 ? 3600000 : (int)((due_us - now_us + 999) / 1000);
}

/* One at a time and from the start again, because an expiry may start and stop any timer. */
static void run_due_timers(void)
{
	uint64_t now_us = loop_now_us();
	struct loop_timer *timer = timers;

	while (timer) {
		if (timer->due_us > now_us) {
			timer = timer->next;
			continue;
		}
		loop_timer_stop(timer);
		timer->on_expiry(timer);
		timer = timers;
	}
}

int loop_turn(void)
{
	int count = epoll_wait(epoll_fd, batch, EVENTS_MAX, wait_ms());

	if (count < 0 && errno != EINTR)
		return -errno;
	batch_size = count > 0 ? count : 0;
	for (int i = 0; i < batch_size; i++) {
		struct loop_source *source = batch[i].data.ptr;

		if (source)
			source->on_events(source, batch[i].events);
	}
	batch_size = 0;
	run_due_timers();
	return 0;
}
