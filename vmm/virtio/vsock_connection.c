#include "vmm/virtio/vsock_device.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

enum {
	BACKLOGS_MAX = 128, /* connections whose host end may be slow at the same time: 16 MiB */
	TICK_MS = 250,
};

int64_t vsock_now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

void vsock_set_tick(struct vsock *vsock, bool on)
{
	const struct timespec tick = { .tv_nsec = on ? TICK_MS * 1000000L : 0 };
	const struct itimerspec timer = { .it_interval = tick, .it_value = tick };

	if (vsock->is_ticking != on && timerfd_settime(vsock->timer.fd, 0, &timer, NULL) == 0)
		vsock->is_ticking = on;
}

void vsock_set_deadline(struct vsock *vsock, struct vsock_connection *c, int64_t in_ms)
{
	c->deadline_ms = vsock_now_ms() + in_ms;
	vsock_set_tick(vsock, true);
}

/*
 * Edge-triggered, so that nothing has to be switched off when rings or credit are used up. Being writable is of interest
 * with a backlog only: it would wake us for each read at the other end.
 */
static uint32_t events_of_interest(const struct vsock_connection *c)
{
	return EPOLLIN | EPOLLRDHUP | EPOLLET | (c->backlog ? EPOLLOUT : 0);
}

int vsock_watch(struct vsock *vsock, struct vsock_connection *c, int fd)
{
	c->owner = vsock;
	c->source = (struct event_source) { .fd = fd, .ready = vsock_host_end_ready, .opaque = c };
	return event_loop_add(vsock->loop, &c->source, events_of_interest(c));
}

int vsock_make_backlog(struct vsock *vsock, struct vsock_connection *c)
{
	if (vsock->n_backlogs == BACKLOGS_MAX)
		return -ENOBUFS;
	c->backlog = malloc(VSOCK_WINDOW);
	if (!c->backlog)
		return -ENOMEM;
	vsock->n_backlogs++;
	return event_loop_modify(vsock->loop, &c->source, events_of_interest(c));
}

void vsock_free_backlog(struct vsock *vsock, struct vsock_connection *c)
{
	if (!c->backlog)
		return;
	free(c->backlog);
	c->backlog = NULL;
	vsock->n_backlogs--;
	if (c->source.fd >= 0)
		event_loop_modify(vsock->loop, &c->source, events_of_interest(c));
}

void vsock_close_host_end(struct vsock *vsock, struct vsock_connection *c)
{
	if (c->source.fd < 0)
		return;
	event_loop_remove(vsock->loop, &c->source);
	close(c->source.fd);
	c->source.fd = -1;
	c->is_readable = false;
	vsock_free_backlog(vsock, c);
}

void vsock_listen_again(struct vsock *vsock)
{
	if (!vsock->is_listening && event_loop_add(vsock->loop, &vsock->listener, EPOLLIN) == 0)
		vsock->is_listening = true;
}

void vsock_release(struct vsock *vsock, struct vsock_connection *c)
{
	vsock_close_host_end(vsock, c);
	vsock_table_release(&vsock->table, c);
	vsock_listen_again(vsock);
}

bool vsock_has_something_for_guest(const struct vsock_connection *c)
{
	return c->flow.due || (c->is_readable && c->flow.state == VSOCK_ESTABLISHED &&
			       !(c->flow.host_shutdown & VIRTIO_VSOCK_SHUTDOWN_SEND));
}

void vsock_settle(struct vsock *vsock, struct vsock_connection *c)
{
	if (c->phase != VSOCK_STREAM)
		return;
	if (vsock_flow_finish(&c->flow))
		vsock_close_host_end(vsock, c);
	if (c->flow.state == VSOCK_LINGERING) {
		/* The guest may use its port again. */
		vsock_table_unindex(&vsock->table, c);
		if (vsock_flow_backlog(&c->flow) == 0 || c->source.fd < 0)
			c->flow.state = VSOCK_CLOSED;
	}
	if (c->flow.state == VSOCK_CLOSED) {
		vsock_release(vsock, c);
		return;
	}
	if (vsock_has_something_for_guest(c))
		vsock_table_queue(&vsock->table, c);
}

void vsock_reset_connection(struct vsock *vsock, struct vsock_connection *c)
{
	vsock_flow_reset(&c->flow);
	vsock_close_host_end(vsock, c);
	vsock_settle(vsock, c);
}
