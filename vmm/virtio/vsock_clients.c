#include "vmm/virtio/vsock_device.h"

#include "common/log.h"

#include <errno.h>
#include <pthread.h>
#include <unistd.h>

/* Generous, because a host under load is slow, not gone. */
enum {
	GREETING_MS = 5000, /* for a client to send its CONNECT line */
	ANSWER_MS = 10000,  /* for the guest to answer a REQUEST */
};

/* A free port for a client. Wraps around, so that a port is not used again soon. */
static uint32_t take_host_port(struct vsock *vsock, uint32_t guest_port)
{
	uint32_t port;

	/* Ends: there are far fewer connections than ports. */
	do {
		port = vsock->next_host_port++;
		if (vsock->next_host_port == VSOCK_HOST_PORT_END)
			vsock->next_host_port = VSOCK_HOST_PORT_FIRST;
	} while (vsock_table_find(&vsock->table, port, guest_port));
	return port;
}

static void read_greeting(struct vsock *vsock, struct vsock_connection *c)
{
	uint32_t guest_port;
	int status = vsock_host_read_greeting(c->source.fd, &guest_port);

	if (status == 0)
		return;
	/* No driver yet is as good as no listener: closed without an answer. */
	if (status < 0 || !vsock->device.is_active) {
		vsock_release(vsock, c);
		return;
	}
	vsock_flow_request(&c->flow, take_host_port(vsock, guest_port), guest_port);
	c->phase = VSOCK_STREAM;
	vsock_table_index(&vsock->table, c);
	vsock_set_deadline(vsock, c, ANSWER_MS);
	vsock_settle(vsock, c);
}

static void serve_rx_again(struct vsock *vsock)
{
	if (vsock->device.is_active && vsock_serve_rx(vsock) == VSOCK_PACKETS_PER_PASS)
		vsock->device.transport_ops->serve_again(vsock->device.transport);
}

void vsock_host_end_ready(void *opaque, uint32_t events)
{
	struct vsock_connection *c = opaque;
	struct vsock *vsock = c->owner;

	pthread_mutex_lock(&vsock->device.lock);
	if (c->phase == VSOCK_GREETING && c->source.fd >= 0) {
		read_greeting(vsock, c);
	} else if (c->phase == VSOCK_STREAM && c->source.fd >= 0) {
		if (events & (EPOLLIN | EPOLLRDHUP | EPOLLHUP | EPOLLERR))
			c->is_readable = true;
		/* It had closed one way before, and nobody reads it any more to find the other one closed. */
		if ((events & (EPOLLHUP | EPOLLERR)) && (c->flow.host_shutdown & VIRTIO_VSOCK_SHUTDOWN_SEND))
			vsock_host_end_finished(vsock, c);
		if (c->backlog)
			vsock_drain_backlog(vsock, c);
		vsock_settle(vsock, c);
	}
	serve_rx_again(vsock);
	pthread_mutex_unlock(&vsock->device.lock);
}

static void add_client(struct vsock *vsock, int fd)
{
	struct vsock_connection *c = vsock_table_take(&vsock->table);

	if (!c || vsock_watch(vsock, c, fd) < 0) {
		log_warn_limited("vsock: client refused, %d connections are open", VSOCK_CONNECTIONS_MAX);
		if (c)
			vsock_table_release(&vsock->table, c);
		close(fd);
		return;
	}
	vsock_set_deadline(vsock, c, GREETING_MS);
	read_greeting(vsock, c);
}

void vsock_listener_ready(void *opaque, uint32_t events)
{
	struct vsock *vsock = opaque;
	int fd;

	(void)events;
	pthread_mutex_lock(&vsock->device.lock);
	fd = vsock_host_accept(vsock->listener.fd);
	if (fd >= 0) {
		add_client(vsock, fd);
	} else if (fd == -EMFILE || fd == -ENFILE || fd == -ENOMEM || fd == -ENOBUFS) {
		/* Level-triggered: it would spin. Closing a connection, or the next tick, makes room. */
		event_loop_remove(vsock->loop, &vsock->listener);
		vsock->is_listening = false;
		vsock_set_tick(vsock, true);
	}
	serve_rx_again(vsock);
	pthread_mutex_unlock(&vsock->device.lock);
}

static void expire(struct vsock *vsock, struct vsock_connection *c)
{
	c->deadline_ms = 0;
	if (c->phase == VSOCK_GREETING || c->flow.state == VSOCK_LINGERING)
		vsock_release(vsock, c);
	else
		vsock_reset_connection(vsock, c);
}

void vsock_timer_ready(void *opaque, uint32_t events)
{
	struct vsock *vsock = opaque;
	bool is_needed = false;
	int64_t now;

	(void)events;
	pthread_mutex_lock(&vsock->device.lock);
	eventfd_consume(vsock->timer.fd); /* a timerfd reads like an eventfd */
	now = vsock_now_ms();
	for (unsigned i = 0; i < vsock->table.n_touched; i++) {
		struct vsock_connection *c = &vsock->table.slots[i];

		if (c->phase == VSOCK_FREE || c->deadline_ms == 0)
			continue;
		if (c->deadline_ms <= now)
			expire(vsock, c);
		else
			is_needed = true;
	}
	vsock_listen_again(vsock);
	vsock_set_tick(vsock, is_needed);
	serve_rx_again(vsock);
	pthread_mutex_unlock(&vsock->device.lock);
}
