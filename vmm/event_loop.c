#include "vmm/event_loop.h"

#include <errno.h>
#include <unistd.h>

int event_loop_open(struct event_loop *loop)
{
	loop->fd = epoll_create1(EPOLL_CLOEXEC);
	return loop->fd < 0 ? -errno : 0;
}

void event_loop_close(struct event_loop *loop)
{
	if (loop->fd >= 0)
		close(loop->fd);
	loop->fd = -1;
}

int event_loop_add(struct event_loop *loop, struct event_source *source, uint32_t events)
{
	struct epoll_event event = { .events = events, .data.ptr = source };

	return epoll_ctl(loop->fd, EPOLL_CTL_ADD, source->fd, &event) < 0 ? -errno : 0;
}

int event_loop_modify(struct event_loop *loop, struct event_source *source, uint32_t events)
{
	struct epoll_event event = { .events = events, .data.ptr = source };

	return epoll_ctl(loop->fd, EPOLL_CTL_MOD, source->fd, &event) < 0 ? -errno : 0;
}

void event_loop_remove(struct event_loop *loop, const struct event_source *source)
{
	epoll_ctl(loop->fd, EPOLL_CTL_DEL, source->fd, NULL);
}

int event_loop_run_once(struct event_loop *loop, int timeout_ms)
{
	struct epoll_event events[32];
	int n_events = epoll_wait(loop->fd, events, 32, timeout_ms);

	if (n_events < 0)
		return errno == EINTR ? 0 : -errno;
	for (int i = 0; i < n_events; i++) {
		const struct event_source *source = events[i].data.ptr;

		source->ready(source->opaque, events[i].events);
	}
	return 0;
}

void eventfd_signal(int fd)
{
	const uint64_t one = 1;

	/* Fails only if the count is at its end: then the other side has not looked yet and will. */
	if (write(fd, &one, sizeof(one)) < 0)
		return;
}

void eventfd_consume(int fd)
{
	uint64_t count;

	/* Fails only if there was nothing to take. */
	if (read(fd, &count, sizeof(count)) < 0)
		return;
}
