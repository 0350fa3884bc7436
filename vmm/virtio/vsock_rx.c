#include "vmm/virtio/vsock_device.h"

#include <errno.h>
#include <poll.h>
#include <sys/uio.h>

enum { CLOSE_MS = 5000 }; /* for the guest to close what the host end has closed */

static bool host_end_is_closed(int fd)
{
	struct pollfd poll_fd = { .fd = fd };

	return poll(&poll_fd, 1, 0) > 0 && (poll_fd.revents & (POLLHUP | POLLERR));
}

void vsock_host_end_finished(struct vsock *vsock, struct vsock_connection *c)
{
	uint8_t shutdown_bits = VIRTIO_VSOCK_SHUTDOWN_SEND;

	c->is_readable = false;
	if (host_end_is_closed(c->source.fd)) {
		shutdown_bits |= VIRTIO_VSOCK_SHUTDOWN_RCV;
		vsock_set_deadline(vsock, c, CLOSE_MS);
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
		vsock_host_end_finished(vsock, c);
	return 0;
}

/* Fills the chain with the connection's next packet. Bytes written; 0 if it has none. */
static uint32_t next_packet(struct vsock *vsock, struct vsock_connection *c, const struct virtqueue_chain *chain)
{
	struct vsock_header header;
	uint8_t bytes[VSOCK_HEADER_SIZE];
	uint32_t length = 0;

	if (!vsock_flow_next(&c->flow, &header)) {
		if (vsock_has_something_for_guest(c))
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
	vsock->first_stray = (vsock->first_stray + 1) % VSOCK_STRAYS_MAX;
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
			vsock_settle(vsock, c);
		if (written > 0)
			return written;
	}
	return 0;
}

static bool pop_rx(struct virtio_device *device, struct virtqueue_chain *chain)
{
	return virtio_device_pop_to_fill(device, VSOCK_QUEUE_RX, chain, VSOCK_HEADER_SIZE,
					 "a buffer that is readable or too small for a packet");
}

/* Stops when the guest has no buffers left: its next ones come with a kick. */
unsigned vsock_serve_rx(struct vsock *vsock)
{
	struct virtio_device *device = &vsock->device;
	struct virtqueue_chain chain;
	unsigned n_packets = 0;

	if (vsock->reset_is_due || vsock->is_gated)
		return 0;
	while (n_packets < VSOCK_PACKETS_PER_PASS && (vsock->n_strays || vsock->table.ready_first) &&
	       pop_rx(device, &chain)) {
		uint32_t written = fill_chain(vsock, &chain);

		if (written == 0) {
			virtqueue_unpop(&device->queues[VSOCK_QUEUE_RX]);
			break;
		}
		virtqueue_push(&device->queues[VSOCK_QUEUE_RX], &chain, written);
		n_packets++;
	}
	virtio_device_complete(device, VSOCK_QUEUE_RX);
	return n_packets;
}
