#include "vmm/virtio/vsock_device.h"

#include "common/log.h"

#include <errno.h>
#include <sys/socket.h>
#include <unistd.h>

enum { LINGER_MS = 30000 }; /* for a slow host end to take the last bytes */

/* The host end takes no more: what was and will be sent to it counts as taken. */
static void host_end_is_deaf(struct vsock *vsock, struct vsock_connection *c)
{
	vsock_flow_host_done(&c->flow, VIRTIO_VSOCK_SHUTDOWN_RCV);
	vsock_flow_forward(&c->flow, vsock_flow_backlog(&c->flow));
	vsock_free_backlog(vsock, c);
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

void vsock_drain_backlog(struct vsock *vsock, struct vsock_connection *c)
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
	vsock_free_backlog(vsock, c);
	end_stream_to_host(c);
}

/* Keeps the payload's bytes from `skip` on; they are the newest of the stream. */
static int keep_in_backlog(struct vsock *vsock, struct vsock_connection *c, const struct virtqueue_chain *chain,
			   uint32_t skip, uint32_t length)
{
	const uint32_t count = length - skip;
	struct iovec segments[2];
	uint64_t offset = VSOCK_HEADER_SIZE + skip;
	int n, status = c->backlog ? 0 : vsock_make_backlog(vsock, c);

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
		vsock_reset_connection(vsock, c);
	}
}

static void add_stray(struct vsock *vsock, const struct vsock_header *to)
{
	if (to->op == VIRTIO_VSOCK_OP_RST)
		return;
	vsock->strays[(vsock->first_stray + vsock->n_strays) % VSOCK_STRAYS_MAX] = vsock_header_reset(to);
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
	if (!c || vsock_watch(vsock, c, fd) < 0) {
		if (c)
			vsock_table_release(&vsock->table, c);
		close(fd);
		add_stray(vsock, request);
		return;
	}
	vsock_flow_accept(&c->flow, request);
	c->phase = VSOCK_STREAM;
	vsock_table_index(&vsock->table, c);
	vsock_settle(vsock, c);
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
		vsock_close_host_end(vsock, c);
	if (c->flow.state == VSOCK_LINGERING)
		vsock_set_deadline(vsock, c, LINGER_MS);
	vsock_settle(vsock, c);
}

/* One packet from the guest. */
static void receive_packet(struct vsock *vsock, const struct virtqueue_chain *chain)
{
	uint8_t bytes[VSOCK_HEADER_SIZE];
	struct vsock_header header;
	struct vsock_connection *c;

	if (virtqueue_chain_read(chain, 0, bytes, sizeof(bytes)) < sizeof(bytes)) {
		virtio_device_break(&vsock->device, VSOCK_QUEUE_TX, "a packet shorter than its header");
		return;
	}
	vsock_header_get(&header, bytes);
	if (header.length > VSOCK_PAYLOAD_MAX || header.length > chain->readable_bytes - sizeof(bytes)) {
		virtio_device_break(&vsock->device, VSOCK_QUEUE_TX,
				    "a packet longer than its descriptors or than 64 KiB");
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

unsigned vsock_serve_tx(struct vsock *vsock)
{
	struct virtio_device *device = &vsock->device;
	struct virtqueue_chain chain;
	unsigned n_packets = 0;

	do {
		while (n_packets < VSOCK_PACKETS_PER_PASS && vsock->n_strays < VSOCK_STRAYS_MAX &&
		       virtio_device_pop(device, VSOCK_QUEUE_TX, &chain)) {
			receive_packet(vsock, &chain);
			if (!device->is_active)
				return n_packets;
			virtqueue_push(&device->queues[VSOCK_QUEUE_TX], &chain, 0);
			n_packets++;
		}
		virtio_device_complete(device, VSOCK_QUEUE_TX);
	} while (device->is_active && n_packets < VSOCK_PACKETS_PER_PASS && vsock->n_strays < VSOCK_STRAYS_MAX &&
		 virtqueue_rearm(&device->queues[VSOCK_QUEUE_TX]));
	return n_packets;
}
