#include "vmm/virtio/vsock.h"

#include "common/log.h"
#include "vmm/virtio/vsock_flow.h"
#include "vmm/virtio/vsock_host.h"
#include "vmm/virtio/vsock_table.h"

#include <endian.h>
#include <errno.h>
#include <linux/virtio_ids.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

enum {
	QUEUE_RX = 0, /* to the guest */
	QUEUE_TX = 1, /* from the guest */
	QUEUE_EVENT = 2,
	N_QUEUES = 3,

	STRAYS_MAX = 64,    /* RSTs that wait for RX buffers; when full, TX waits too */
	BACKLOGS_MAX = 128, /* connections whose host end may be slow at the same time: 16 MiB */
	PACKETS_PER_PASS = 256,

	/* Generous, because a host under load is slow, not gone. */
	GREETING_MS = 5000, /* for a client to send its CONNECT line */
	ANSWER_MS = 10000,  /* for the guest to answer a REQUEST */
	CLOSE_MS = 5000,    /* for the guest to close what the host end has closed */
	LINGER_MS = 30000,  /* for a slow host end to take the last bytes */
	TICK_MS = 250,
};

/* Ports given to clients, so that they never look like a service's (and like other VMMs'). */
static const uint32_t host_port_first = 1U << 30;
static const uint32_t host_port_end = 1U << 31;

struct vsock {
	struct virtio_device device; /* first: the table of operations casts */
	struct virtio_vsock_config config;
	char path[VSOCK_HOST_PATH_MAX + 1];
	struct event_loop *loop;
	struct event_source listener;
	bool is_listening; /* the listener is in the loop */
	struct event_source timer;
	bool is_ticking;
	struct vsock_table table;
	uint32_t next_host_port;
	unsigned n_backlogs;
	struct vsock_header strays[STRAYS_MAX]; /* first in first out */
	unsigned first_stray, n_strays;

	/* After a restore of a guest that had connections: they are gone, and the guest has to be told. */
	bool reset_is_due;
	bool is_gated;       /* told, but not yet acknowledged: nothing is sent to the guest, it would be thrown away */
	uint16_t gate_index; /* of the event queue's available ring when it was told */
};

static int64_t now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* ---- life of a connection ---------------------------------------------------------------------------------------- */

static void set_tick(struct vsock *vsock, bool on)
{
	const struct timespec tick = { .tv_nsec = on ? TICK_MS * 1000000L : 0 };
	const struct itimerspec timer = { .it_interval = tick, .it_value = tick };

	if (vsock->is_ticking != on && timerfd_settime(vsock->timer.fd, 0, &timer, NULL) == 0)
		vsock->is_ticking = on;
}

static void set_deadline(struct vsock *vsock, struct vsock_connection *c, int64_t in_ms)
{
	c->deadline_ms = now_ms() + in_ms;
	set_tick(vsock, true);
}

/*
 * Edge-triggered, so that nothing has to be switched off when rings or credit are used up. Being writable is of interest
 * with a backlog only: it would wake us for each read at the other end.
 */
static uint32_t events_of_interest(const struct vsock_connection *c)
{
	return EPOLLIN | EPOLLRDHUP | EPOLLET | (c->backlog ? EPOLLOUT : 0);
}

static int make_backlog(struct vsock *vsock, struct vsock_connection *c)
{
	if (vsock->n_backlogs == BACKLOGS_MAX)
		return -ENOBUFS;
	c->backlog = malloc(VSOCK_WINDOW);
	if (!c->backlog)
		return -ENOMEM;
	vsock->n_backlogs++;
	return event_loop_modify(vsock->loop, &c->source, events_of_interest(c));
}

static void free_backlog(struct vsock *vsock, struct vsock_connection *c)
{
	if (!c->backlog)
		return;
	free(c->backlog);
	c->backlog = NULL;
	vsock->n_backlogs--;
	if (c->source.fd >= 0)
		event_loop_modify(vsock->loop, &c->source, events_of_interest(c));
}

static void close_host_end(struct vsock *vsock, struct vsock_connection *c)
{
	if (c->source.fd < 0)
		return;
	event_loop_remove(vsock->loop, &c->source);
	close(c->source.fd);
	c->source.fd = -1;
	c->is_readable = false;
	free_backlog(vsock, c);
}

static void listen_again(struct vsock *vsock)
{
	if (!vsock->is_listening && event_loop_add(vsock->loop, &vsock->listener, EPOLLIN) == 0)
		vsock->is_listening = true;
}

static void release(struct vsock *vsock, struct vsock_connection *c)
{
	close_host_end(vsock, c);
	vsock_table_release(&vsock->table, c);
	listen_again(vsock);
}

static bool has_something_for_guest(const struct vsock_connection *c)
{
	return c->flow.due || (c->is_readable && c->flow.state == VSOCK_ESTABLISHED &&
			       !(c->flow.host_shutdown & VIRTIO_VSOCK_SHUTDOWN_SEND));
}

/* After anything happened to a connection: lets it go if it is over, queues it if it has something for the guest. */
static void settle(struct vsock *vsock, struct vsock_connection *c)
{
	if (c->phase != VSOCK_STREAM)
		return;
	if (vsock_flow_finish(&c->flow))
		close_host_end(vsock, c);
	if (c->flow.state == VSOCK_LINGERING) {
		/* The guest may use its port again. */
		vsock_table_unindex(&vsock->table, c);
		if (vsock_flow_backlog(&c->flow) == 0 || c->source.fd < 0)
			c->flow.state = VSOCK_CLOSED;
	}
	if (c->flow.state == VSOCK_CLOSED) {
		release(vsock, c);
		return;
	}
	if (has_something_for_guest(c))
		vsock_table_queue(&vsock->table, c);
}

static void reset_connection(struct vsock *vsock, struct vsock_connection *c)
{
	vsock_flow_reset(&c->flow);
	close_host_end(vsock, c);
	settle(vsock, c);
}

/* ---- from the guest to the host end ------------------------------------------------------------------------------ */

/* The host end takes no more: what was and will be sent to it counts as taken. */
static void host_end_is_deaf(struct vsock *vsock, struct vsock_connection *c)
{
	vsock_flow_host_done(&c->flow, VIRTIO_VSOCK_SHUTDOWN_RCV);
	vsock_flow_forward(&c->flow, vsock_flow_backlog(&c->flow));
	free_backlog(vsock, c);
}

/* Bytes taken, 0 if the host end is full, negative if it will take no more. */
static ssize_t send_to_host_end(const struct vsock_connection *c, struct iovec *segments, int n_segments)
{
	const struct msghdr message = { .msg_iov = segments, .msg_iovlen = (size_t)n_segments };
	ssize_t sent;

	do {
		sent = sendmsg(c->source.fd, &message, MSG_DONTWAIT | MSG_NOSIGNAL);
	} while (sent < 0 && errno == EINTR);
	return sent < 0 && (errno == EAGAIN || errno == ENOBUFS) ? 0 : sent;
}

/* The backlog's bytes [from, from + count) of the stream; they may wrap around its end. */
static int backlog_slice(const struct vsock_connection *c, uint32_t from, uint32_t count, struct iovec segments[2])
{
	const uint32_t start = from % VSOCK_WINDOW;
	const uint32_t until_end = VSOCK_WINDOW - start;
	const uint32_t first = count < until_end ? count : until_end;

	segments[0] = (struct iovec) { c->backlog + start, first };
	segments[1] = (struct iovec) { c->backlog, count - first };
	return count > first ? 2 : 1;
}

static void end_stream_to_host(const struct vsock_connection *c)
{
	if ((c->flow.guest_shutdown & VIRTIO_VSOCK_SHUTDOWN_SEND) && vsock_flow_backlog(&c->flow) == 0)
		shutdown(c->source.fd, SHUT_WR);
}

static void drain_backlog(struct vsock *vsock, struct vsock_connection *c)
{
	while (c->source.fd >= 0 && c->backlog && vsock_flow_backlog(&c->flow) > 0) {
		struct iovec segments[2];
		int n = backlog_slice(c, c->flow.forwarded, vsock_flow_backlog(&c->flow), segments);
		ssize_t sent = send_to_host_end(c, segments, n);

		if (sent < 0)
			host_end_is_deaf(vsock, c);
		if (sent <= 0)
			return;
		vsock_flow_forward(&c->flow, (uint32_t)sent);
	}
	if (c->source.fd < 0)
		return;
	free_backlog(vsock, c);
	end_stream_to_host(c);
}

/* Keeps the payload's bytes from `skip` on; they are the newest of the stream. */
static int keep_in_backlog(struct vsock *vsock, struct vsock_connection *c, const struct virtqueue_chain *chain,
			   uint32_t skip, uint32_t length)
{
	const uint32_t count = length - skip;
	struct iovec segments[2];
	uint64_t offset = VSOCK_HEADER_SIZE + skip;
	int n, status = c->backlog ? 0 : make_backlog(vsock, c);

	if (status < 0)
		return status;
	n = backlog_slice(c, c->flow.received - count, count, segments);
	for (int i = 0; i < n; i++) {
		virtqueue_chain_read(chain, offset, segments[i].iov_base, segments[i].iov_len);
		offset += segments[i].iov_len;
	}
	return 0;
}

static void deliver(struct vsock *vsock, struct vsock_connection *c, const struct virtqueue_chain *chain,
		    uint32_t length)
{
	ssize_t sent = 0;

	if (c->source.fd < 0 || (c->flow.host_shutdown & VIRTIO_VSOCK_SHUTDOWN_RCV)) {
		vsock_flow_forward(&c->flow, length);
		return;
	}
	if (vsock_flow_backlog(&c->flow) == length) {
		struct iovec segments[VIRTQUEUE_SIZE_MAX];
		int n = virtqueue_chain_slice(chain, false, VSOCK_HEADER_SIZE, length, segments);

		sent = send_to_host_end(c, segments, n);
		if (sent < 0) {
			host_end_is_deaf(vsock, c);
			return;
		}
		vsock_flow_forward(&c->flow, (uint32_t)sent);
	}
	if ((uint32_t)sent < length && keep_in_backlog(vsock, c, chain, (uint32_t)sent, length) < 0) {
		log_warn_limited("vsock: too many slow host ends, connection to guest port %u is reset",
				 c->flow.guest_port);
		reset_connection(vsock, c);
	}
}

static void host_end_ready(void *opaque, uint32_t events);

/* Puts a host end into the loop. */
static int watch(struct vsock *vsock, struct vsock_connection *c, int fd)
{
	c->owner = vsock;
	c->source = (struct event_source) { .fd = fd, .ready = host_end_ready, .opaque = c };
	return event_loop_add(vsock->loop, &c->source, events_of_interest(c));
}

static void add_stray(struct vsock *vsock, const struct vsock_header *to)
{
	if (to->op == VIRTIO_VSOCK_OP_RST)
		return;
	vsock->strays[(vsock->first_stray + vsock->n_strays) % STRAYS_MAX] = vsock_header_reset(to);
	vsock->n_strays++;
}

static void open_by_guest(struct vsock *vsock, const struct vsock_header *request)
{
	struct vsock_connection *c;
	int fd = vsock_host_connect(vsock->path, request->destination_port);

	if (fd < 0) {
		add_stray(vsock, request);
		return;
	}
	c = vsock_table_take(&vsock->table);
	if (!c || watch(vsock, c, fd) < 0) {
		if (c)
			vsock_table_release(&vsock->table, c);
		close(fd);
		add_stray(vsock, request);
		return;
	}
	vsock_flow_accept(&c->flow, request);
	c->phase = VSOCK_STREAM;
	vsock_table_index(&vsock->table, c);
	settle(vsock, c);
}

static void act(struct vsock *vsock, struct vsock_connection *c, unsigned actions, const struct virtqueue_chain *chain,
		const struct vsock_header *header)
{
	if (actions & VSOCK_ACTION_CONNECTED) {
		c->deadline_ms = 0;
		c->is_readable = true;
		if (vsock_host_greet(c->source.fd, c->flow.host_port) < 0)
			vsock_flow_reset(&c->flow);
	}
	if (actions & VSOCK_ACTION_DELIVER)
		deliver(vsock, c, chain, header->length);
	if (actions & VSOCK_ACTION_GUEST_DONE && c->source.fd >= 0) {
		if (c->flow.guest_shutdown & VIRTIO_VSOCK_SHUTDOWN_RCV)
			shutdown(c->source.fd, SHUT_RD);
		end_stream_to_host(c);
	}
	if (actions & VSOCK_ACTION_CLOSE || c->flow.state == VSOCK_RESETTING)
		close_host_end(vsock, c);
	if (c->flow.state == VSOCK_LINGERING)
		set_deadline(vsock, c, LINGER_MS);
	settle(vsock, c);
}

/* One packet from the guest. */
static void receive_packet(struct vsock *vsock, const struct virtqueue_chain *chain)
{
	uint8_t bytes[VSOCK_HEADER_SIZE];
	struct vsock_header header;
	struct vsock_connection *c;

	if (virtqueue_chain_read(chain, 0, bytes, sizeof(bytes)) < sizeof(bytes)) {
		virtio_device_break(&vsock->device, QUEUE_TX, "a packet shorter than its header");
		return;
	}
	vsock_header_get(&header, bytes);
	if (header.length > VSOCK_PAYLOAD_MAX || header.length > chain->readable_bytes - sizeof(bytes)) {
		virtio_device_break(&vsock->device, QUEUE_TX, "a packet longer than its descriptors or than 64 KiB");
		return;
	}
	if (header.source_cid != VSOCK_GUEST_CID || header.destination_cid != VSOCK_HOST_CID) {
		log_warn_limited("vsock: dropped a packet from CID %llu to CID %llu",
				 (unsigned long long)header.source_cid, (unsigned long long)header.destination_cid);
		return;
	}
	c = vsock_table_find(&vsock->table, header.destination_port, header.source_port);
	if (header.type != VIRTIO_VSOCK_TYPE_STREAM)
		add_stray(vsock, &header);
	else if (c)
		act(vsock, c, vsock_flow_receive(&c->flow, &header), chain, &header);
	else if (header.op == VIRTIO_VSOCK_OP_REQUEST)
		open_by_guest(vsock, &header);
	else
		add_stray(vsock, &header);
}

/* Returns the number of packets taken. */
static unsigned serve_tx(struct vsock *vsock)
{
	struct virtio_device *device = &vsock->device;
	struct virtqueue_chain chain;
	unsigned n_packets = 0;

	do {
		while (n_packets < PACKETS_PER_PASS && vsock->n_strays < STRAYS_MAX &&
		       virtio_device_pop(device, QUEUE_TX, &chain)) {
			receive_packet(vsock, &chain);
			if (!device->is_active)
				return n_packets;
			virtqueue_push(&device->queues[QUEUE_TX], &chain, 0);
			n_packets++;
		}
		virtio_device_complete(device, QUEUE_TX);
	} while (device->is_active && n_packets < PACKETS_PER_PASS && vsock->n_strays < STRAYS_MAX &&
		 virtqueue_rearm(&device->queues[QUEUE_TX]));
	return n_packets;
}

/* ---- from the host end to the guest ------------------------------------------------------------------------------ */

static bool host_end_is_closed(int fd)
{
	struct pollfd poll_fd = { .fd = fd };

	return poll(&poll_fd, 1, 0) > 0 && (poll_fd.revents & (POLLHUP | POLLERR));
}

static void host_end_finished(struct vsock *vsock, struct vsock_connection *c)
{
	uint8_t shutdown_bits = VIRTIO_VSOCK_SHUTDOWN_SEND;

	c->is_readable = false;
	if (host_end_is_closed(c->source.fd)) {
		shutdown_bits |= VIRTIO_VSOCK_SHUTDOWN_RCV;
		set_deadline(vsock, c, CLOSE_MS);
	}
	vsock_flow_host_done(&c->flow, shutdown_bits);
}

/* Reads into the chain behind the header. The length of the payload, 0 if there is none to be had now. */
static uint32_t read_host_end(struct vsock *vsock, struct vsock_connection *c, const struct virtqueue_chain *chain)
{
	struct iovec segments[VIRTQUEUE_SIZE_MAX];
	uint64_t room = chain->writable_bytes - VSOCK_HEADER_SIZE;
	ssize_t length;

	if (room > VSOCK_PAYLOAD_MAX)
		room = VSOCK_PAYLOAD_MAX;
	if (room > vsock_flow_room(&c->flow))
		room = vsock_flow_room(&c->flow);
	if (room == 0) {
		vsock_flow_starved(&c->flow);
		return 0;
	}
	do {
		length = readv(c->source.fd, segments,
			       virtqueue_chain_slice(chain, true, VSOCK_HEADER_SIZE, room, segments));
	} while (length < 0 && errno == EINTR);
	if (length > 0)
		return (uint32_t)length;
	if (length < 0 && errno == EAGAIN)
		c->is_readable = false;
	else
		host_end_finished(vsock, c);
	return 0;
}

/* Fills the chain with the connection's next packet. Bytes written; 0 if it has none. */
static uint32_t next_packet(struct vsock *vsock, struct vsock_connection *c, const struct virtqueue_chain *chain)
{
	struct vsock_header header;
	uint8_t bytes[VSOCK_HEADER_SIZE];
	uint32_t length = 0;

	if (!vsock_flow_next(&c->flow, &header)) {
		if (has_something_for_guest(c))
			length = read_host_end(vsock, c, chain);
		if (length > 0)
			vsock_flow_send(&c->flow, length, &header);
		else if (!vsock_flow_next(&c->flow, &header)) /* what reading has made due */
			return 0;
	}
	vsock_header_put(&header, bytes);
	virtqueue_chain_write(chain, 0, bytes, sizeof(bytes));
	return VSOCK_HEADER_SIZE + length;
}

static uint32_t next_stray(struct vsock *vsock, const struct virtqueue_chain *chain)
{
	uint8_t bytes[VSOCK_HEADER_SIZE];

	vsock_header_put(&vsock->strays[vsock->first_stray], bytes);
	vsock->first_stray = (vsock->first_stray + 1) % STRAYS_MAX;
	vsock->n_strays--;
	virtqueue_chain_write(chain, 0, bytes, sizeof(bytes));
	return VSOCK_HEADER_SIZE;
}

/* The next packet of anybody, in turns. Bytes written; 0 if nobody has one. */
static uint32_t fill_chain(struct vsock *vsock, const struct virtqueue_chain *chain)
{
	struct vsock_connection *c;

	if (vsock->n_strays)
		return next_stray(vsock, chain);
	while ((c = vsock_table_dequeue(&vsock->table))) {
		uint32_t written = next_packet(vsock, c, chain);

		/* One that is starved has said so; its credit will queue it again. */
		if (written > 0 || c->flow.state == VSOCK_CLOSED)
			settle(vsock, c);
		if (written > 0)
			return written;
	}
	return 0;
}

static bool pop_rx(struct virtio_device *device, struct virtqueue_chain *chain)
{
	if (!virtio_device_pop(device, QUEUE_RX, chain) &&
	    !(device->is_active && virtqueue_rearm(&device->queues[QUEUE_RX]) &&
	      virtio_device_pop(device, QUEUE_RX, chain)))
		return false;
	if (chain->n_readable || chain->writable_bytes <= VSOCK_HEADER_SIZE) {
		virtio_device_break(device, QUEUE_RX, "a buffer that is readable or too small for a packet");
		return false;
	}
	return true;
}

/* Returns the number of packets put. Stops when the guest has no buffers left: its next ones come with a kick. */
static unsigned serve_rx(struct vsock *vsock)
{
	struct virtio_device *device = &vsock->device;
	struct virtqueue_chain chain;
	unsigned n_packets = 0;

	if (vsock->reset_is_due || vsock->is_gated)
		return 0;
	while (n_packets < PACKETS_PER_PASS && (vsock->n_strays || vsock->table.ready_first) &&
	       pop_rx(device, &chain)) {
		uint32_t written = fill_chain(vsock, &chain);

		if (written == 0) {
			virtqueue_unpop(&device->queues[QUEUE_RX]);
			break;
		}
		virtqueue_push(&device->queues[QUEUE_RX], &chain, written);
		n_packets++;
	}
	virtio_device_complete(device, QUEUE_RX);
	return n_packets;
}

/*
 * Tells the guest that its connections are gone (virtio 1.2, 5.10.6.7). Its driver acts on that and then gives the
 * buffer back, which is how we learn that new connections are safe. It does so when the buffer is used, so the index has
 * to be read before that; and it notifies only of what is behind avail_event, so that has to be moved.
 */
static void serve_events(struct vsock *vsock)
{
	static const uint32_t transport_reset = VIRTIO_VSOCK_EVENT_TRANSPORT_RESET;
	struct virtqueue *queue = &vsock->device.queues[QUEUE_EVENT];
	struct virtqueue_chain chain;

	if (vsock->is_gated && virtqueue_available_index(queue) != vsock->gate_index)
		vsock->is_gated = false;
	if (!vsock->reset_is_due || !virtio_device_pop(&vsock->device, QUEUE_EVENT, &chain))
		return;
	if (chain.n_readable || chain.writable_bytes < sizeof(transport_reset)) {
		virtio_device_break(&vsock->device, QUEUE_EVENT, "a buffer that is readable or too small for an event");
		return;
	}
	vsock->gate_index = virtqueue_watch(queue);
	vsock->is_gated = true;
	vsock->reset_is_due = false;
	virtqueue_chain_write(&chain, 0, &transport_reset, sizeof(transport_reset)); /* 0 in any byte order */
	virtqueue_push(queue, &chain, sizeof(transport_reset));
	virtio_device_complete(&vsock->device, QUEUE_EVENT);
}

static void serve_queues(struct virtio_device *device)
{
	struct vsock *vsock = (struct vsock *)device;
	const unsigned n_sent = serve_tx(vsock);
	const bool tx_waits_for_rx = vsock->n_strays == STRAYS_MAX;
	const unsigned n_received = serve_rx(vsock);

	if (device->is_active &&
	    (n_sent == PACKETS_PER_PASS || n_received == PACKETS_PER_PASS || (tx_waits_for_rx && n_received > 0)))
		device->transport_ops->serve_again(device->transport);
}

static void vsock_serve(struct virtio_device *device)
{
	serve_events((struct vsock *)device);
	if (device->is_active)
		serve_queues(device);
}

/* ---- host ends --------------------------------------------------------------------------------------------------- */

/* A free port for a client. Wraps around, so that a port is not used again soon. */
static uint32_t take_host_port(struct vsock *vsock, uint32_t guest_port)
{
	uint32_t port;

	/* Ends: there are far fewer connections than ports. */
	do {
		port = vsock->next_host_port++;
		if (vsock->next_host_port == host_port_end)
			vsock->next_host_port = host_port_first;
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
		release(vsock, c);
		return;
	}
	vsock_flow_request(&c->flow, take_host_port(vsock, guest_port), guest_port);
	c->phase = VSOCK_STREAM;
	vsock_table_index(&vsock->table, c);
	set_deadline(vsock, c, ANSWER_MS);
	settle(vsock, c);
}

static void serve_rx_again(struct vsock *vsock)
{
	if (vsock->device.is_active && serve_rx(vsock) == PACKETS_PER_PASS)
		vsock->device.transport_ops->serve_again(vsock->device.transport);
}

static void host_end_ready(void *opaque, uint32_t events)
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
			host_end_finished(vsock, c);
		if (c->backlog)
			drain_backlog(vsock, c);
		settle(vsock, c);
	}
	serve_rx_again(vsock);
	pthread_mutex_unlock(&vsock->device.lock);
}

static void add_client(struct vsock *vsock, int fd)
{
	struct vsock_connection *c = vsock_table_take(&vsock->table);

	if (!c || watch(vsock, c, fd) < 0) {
		log_warn_limited("vsock: client refused, %d connections are open", VSOCK_CONNECTIONS_MAX);
		if (c)
			vsock_table_release(&vsock->table, c);
		close(fd);
		return;
	}
	set_deadline(vsock, c, GREETING_MS);
	read_greeting(vsock, c);
}

static void listener_ready(void *opaque, uint32_t events)
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
		set_tick(vsock, true);
	}
	serve_rx_again(vsock);
	pthread_mutex_unlock(&vsock->device.lock);
}

static void expire(struct vsock *vsock, struct vsock_connection *c)
{
	c->deadline_ms = 0;
	if (c->phase == VSOCK_GREETING || c->flow.state == VSOCK_LINGERING)
		release(vsock, c);
	else
		reset_connection(vsock, c);
}

static void timer_ready(void *opaque, uint32_t events)
{
	struct vsock *vsock = opaque;
	bool is_needed = false;
	int64_t now;

	(void)events;
	pthread_mutex_lock(&vsock->device.lock);
	eventfd_consume(vsock->timer.fd); /* a timerfd reads like an eventfd */
	now = now_ms();
	for (unsigned i = 0; i < vsock->table.n_touched; i++) {
		struct vsock_connection *c = &vsock->table.slots[i];

		if (c->phase == VSOCK_FREE || c->deadline_ms == 0)
			continue;
		if (c->deadline_ms <= now)
			expire(vsock, c);
		else
			is_needed = true;
	}
	listen_again(vsock);
	set_tick(vsock, is_needed);
	serve_rx_again(vsock);
	pthread_mutex_unlock(&vsock->device.lock);
}

/* ---- the device -------------------------------------------------------------------------------------------------- */

static void vsock_reset(struct virtio_device *device)
{
	struct vsock *vsock = (struct vsock *)device;

	for (unsigned i = 0; i < vsock->table.n_touched; i++)
		if (vsock->table.slots[i].phase != VSOCK_FREE)
			release(vsock, &vsock->table.slots[i]);
	vsock->first_stray = vsock->n_strays = 0;
	vsock->reset_is_due = vsock->is_gated = false;
}

unsigned virtio_vsock_n_connections(struct virtio_device *device)
{
	struct vsock *vsock = (struct vsock *)device;
	unsigned n = 0;

	pthread_mutex_lock(&device->lock);
	for (unsigned i = 0; i < vsock->table.n_touched; i++)
		n += vsock->table.slots[i].phase == VSOCK_STREAM;
	pthread_mutex_unlock(&device->lock);
	return n;
}

/* Streams end with the process; what is kept is whether the guest believes that it has some, and ports not to use again. */
static void vsock_save(const struct virtio_device *device, struct state_writer *writer)
{
	const struct vsock *vsock = (const struct vsock *)device;
	const bool guest_has_streams = vsock->table.n_used || vsock->n_strays;

	state_put_uint(writer, vsock->next_host_port, 4);
	state_put_uint(writer, guest_has_streams || vsock->reset_is_due || vsock->is_gated, 1);
}

static int vsock_restore(struct virtio_device *device, struct bytes *in, struct error *err)
{
	struct vsock *vsock = (struct vsock *)device;
	const uint32_t port = bytes_get_u32(in);
	const bool guest_has_streams = bytes_get_u8(in);

	(void)err;
	if (port >= host_port_first && port < host_port_end)
		vsock->next_host_port = port;
	/* A driver without an event queue has no connections either. */
	vsock->reset_is_due = guest_has_streams && device->queues[QUEUE_EVENT].descriptors;
	return 0;
}

static void vsock_destroy(struct virtio_device *device)
{
	struct vsock *vsock = (struct vsock *)device;

	if (vsock->table.slots)
		vsock_reset(device);
	vsock_table_fini(&vsock->table);
	if (vsock->listener.fd >= 0) {
		close(vsock->listener.fd);
	}
	if (vsock->timer.fd >= 0)
		close(vsock->timer.fd);
	free(vsock);
}

static const struct virtio_device_ops vsock_ops = {
	.id = VIRTIO_ID_VSOCK,
	.n_queues = N_QUEUES,
	.queue_size_max = VIRTQUEUE_SIZE_MAX,
	.serve = vsock_serve,
	.reset = vsock_reset,
	.save = vsock_save,
	.restore = vsock_restore,
	.destroy = vsock_destroy,
};

struct virtio_device *virtio_vsock_create(int listener, const char *path, struct event_loop *loop, struct error *err)
{
	struct vsock *vsock = calloc(1, sizeof(*vsock));

	if (!vsock) {
		error_set(err, ENOMEM, "vsock: out of memory");
		close(listener);
		return NULL;
	}
	vsock->device = (struct virtio_device) {
		.ops = &vsock_ops, .name = "vsock", .config = &vsock->config, .config_size = sizeof(vsock->config)
	};
	vsock->config.guest_cid = htole64(VSOCK_GUEST_CID);
	vsock->loop = loop;
	vsock->next_host_port = host_port_first;
	vsock->timer = (struct event_source) { .fd = -1, .ready = timer_ready, .opaque = vsock };
	vsock->listener = (struct event_source) { .ready = listener_ready, .opaque = vsock };
	vsock->listener.fd = listener;
	snprintf(vsock->path, sizeof(vsock->path), "%s", path);
	vsock->timer.fd = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
	if (vsock->timer.fd < 0 || vsock_table_init(&vsock->table) < 0) {
		error_set(err, ENOMEM, "vsock: cannot get a timer or memory");
		goto fail;
	}
	return &vsock->device;
fail:
	vsock_destroy(&vsock->device);
	return NULL;
}

int virtio_vsock_start(struct virtio_device *device)
{
	struct vsock *vsock = (struct vsock *)device;
	int status = event_loop_add(vsock->loop, &vsock->timer, EPOLLIN);

	if (status == 0)
		status = event_loop_add(vsock->loop, &vsock->listener, EPOLLIN);
	vsock->is_listening = status == 0;
	return status;
}
