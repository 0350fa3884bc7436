#include "vmm/virtio/net.h"

#include "common/log.h"
#include "common/network_protocol.h"
#include "vmm/virtio/net_checksum.h"

#include <endian.h>
#include <errno.h>
#include <linux/virtio_ids.h>
#include <linux/virtio_net.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/*
 * CSUM: without it Linux makes each frame one piece of memory, up to 64 KiB at a moment when it cannot wait for one.
 * MRG_RXBUF: without it Linux keeps buffers of 64 KiB.
 */
#define FEATURES                                                                                                       \
	(1ULL << VIRTIO_NET_F_MAC | 1ULL << VIRTIO_NET_F_MTU | 1ULL << VIRTIO_NET_F_CSUM |                             \
	 1ULL << VIRTIO_NET_F_MRG_RXBUF)

enum {
	QUEUE_RX = 0, /* to the guest */
	QUEUE_TX = 1, /* from the guest */
	N_QUEUES = 2,

	/* Room for three of the longest frames in buffers of 1.5 KiB, and what Linux makes of them is part of a template. */
	QUEUE_SIZE = 128,
	HEADER_SIZE = 12,     /* struct virtio_net_hdr_v1, which VERSION_1 makes the only one */
	FRAMES_PER_PASS = 64, /* in each direction, then other devices have their turn */
};

struct net {
	struct virtio_device device; /* first: the table of operations casts */
	struct virtio_net_config config;
	struct event_loop *loop;
	struct event_source peer; /* the socket; fd is -1 once the other end has closed: the cable is pulled */
	bool is_readable;         /* edge-triggered: until a read says that there is nothing */
	bool is_full;             /* the socket takes no more: the queue stands still until it says that it does */
	uint32_t pending;         /* bytes of `frame` that wait for buffers of the guest; 0: none */
	uint8_t frame[NETWORK_FRAME_MAX + 1];
	uint8_t outgoing[NETWORK_FRAME_MAX]; /* the copy in which a checksum is completed */
};

/* Being writable is of interest only while we wait for it: it would wake us for each frame that the other end takes. */
static uint32_t events_of_interest(const struct net *net)
{
	return EPOLLIN | EPOLLET | (net->is_full ? EPOLLOUT : 0);
}

static void set_full(struct net *net, bool is_full)
{
	if (net->is_full == is_full)
		return;
	net->is_full = is_full;
	event_loop_modify(net->loop, &net->peer, events_of_interest(net));
}

/* What the guest sends from now on goes nowhere. */
static void pull_cable(struct net *net)
{
	if (net->peer.fd < 0)
		return;
	log_info("%s: the other end has closed, the guest is without a network", net->device.name);
	event_loop_remove(net->loop, &net->peer);
	close(net->peer.fd);
	net->peer.fd = -1;
	net->is_readable = net->is_full = false;
}

/* ---- from the guest ---------------------------------------------------------------------------------------------- */

/* From guest memory, or, if its checksum was left to us, from a copy that the guest cannot change. 0: it makes no sense. */
static int prepare_frame(struct net *net, const struct virtqueue_chain *chain, size_t length, struct iovec *segments)
{
	struct virtio_net_hdr_v1 header;

	virtqueue_chain_read(chain, 0, &header, sizeof(header));
	if (!(header.flags & VIRTIO_NET_HDR_F_NEEDS_CSUM))
		return virtqueue_chain_slice(chain, false, HEADER_SIZE, length, segments);
	virtqueue_chain_read(chain, HEADER_SIZE, net->outgoing, length);
	segments[0] = (struct iovec) { net->outgoing, length };
	return net_checksum_complete(net->outgoing, length, le16toh(header.csum_start), le16toh(header.csum_offset));
}

/* False if the socket is full, and the frame has to wait. Whatever else is wrong with a frame, it is dropped. */
static bool send_frame(struct net *net, const struct virtqueue_chain *chain)
{
	const uint64_t length = chain->readable_bytes - HEADER_SIZE;
	struct iovec segments[VIRTQUEUE_SIZE_MAX];
	struct msghdr message = { .msg_iov = segments };
	ssize_t sent;

	if (net->peer.fd < 0)
		return true;
	if (length >= NETWORK_FRAME_MIN && length <= NETWORK_FRAME_MAX)
		message.msg_iovlen = (size_t)prepare_frame(net, chain, length, segments);
	if (message.msg_iovlen == 0) {
		log_warn_limited("%s: dropped a frame of %llu bytes from the guest", net->device.name,
				 (unsigned long long)length);
		return true;
	}
	do {
		sent = sendmsg(net->peer.fd, &message, MSG_DONTWAIT | MSG_NOSIGNAL);
	} while (sent < 0 && errno == EINTR);
	if (sent < 0 && errno == EAGAIN)
		return false;
	if (sent < 0 && (errno == EPIPE || errno == ECONNRESET))
		pull_cable(net);
	else if (sent < 0)
		log_warn_limited("%s: dropped a frame from the guest: %s", net->device.name, strerror(errno));
	return true;
}

static bool pop_tx(struct virtio_device *device, struct virtqueue_chain *chain)
{
	if (!virtio_device_pop(device, QUEUE_TX, chain))
		return false;
	if (chain->n_writable || chain->readable_bytes < HEADER_SIZE) {
		virtio_device_break(device, QUEUE_TX, "a frame that is writable or shorter than its header");
		return false;
	}
	return true;
}

/* Returns the number of frames taken. */
static unsigned serve_tx(struct net *net)
{
	struct virtio_device *device = &net->device;
	struct virtqueue *queue = &device->queues[QUEUE_TX];
	struct virtqueue_chain chain;
	unsigned n_frames = 0;

	do {
		while (n_frames < FRAMES_PER_PASS && !net->is_full && pop_tx(device, &chain)) {
			if (!send_frame(net, &chain)) {
				virtqueue_unpop(queue);
				set_full(net, true);
				break;
			}
			virtqueue_push(queue, &chain, 0);
			n_frames++;
		}
		virtio_device_complete(device, QUEUE_TX);
	} while (device->is_active && n_frames < FRAMES_PER_PASS && !net->is_full && virtqueue_rearm(queue));
	return n_frames;
}

/* ---- to the guest ------------------------------------------------------------------------------------------------ */

/* Takes the socket's next frame, which then waits. An empty message looks like the end, and is none that a netd sends. */
static void receive_frame(struct net *net)
{
	ssize_t length;

	do {
		length = recv(net->peer.fd, net->frame, sizeof(net->frame), MSG_DONTWAIT | MSG_TRUNC);
	} while (length < 0 && errno == EINTR);
	if (length < 0 && errno == EAGAIN)
		net->is_readable = false;
	else if (length <= 0)
		pull_cable(net);
	else if (length < NETWORK_FRAME_MIN || length > NETWORK_FRAME_MAX)
		log_warn_limited("%s: dropped a frame of %zd bytes for the guest", net->device.name, length);
	else
		net->pending = (uint32_t)length;
}

static bool pop_rx(struct virtio_device *device, struct virtqueue_chain *chain)
{
	return virtio_device_pop_to_fill(device, QUEUE_RX, chain, HEADER_SIZE,
					 "a buffer that is readable or too small for a header");
}

static uint32_t fill(const struct net *net, const struct virtqueue_chain *chain, uint32_t skip, uint32_t done)
{
	return (uint32_t)virtqueue_chain_write(chain, skip, net->frame + done, net->pending - done);
}

static void put_header(const struct virtqueue_chain *chain, unsigned n_buffers)
{
	const struct virtio_net_hdr_v1 header = { .num_buffers = htole16((uint16_t)n_buffers) };

	_Static_assert(sizeof(header) == HEADER_SIZE, "the header of VERSION_1");
	virtqueue_chain_write(chain, 0, &header, sizeof(header));
}

/*
 * Puts the frame that waits into as many buffers as it takes, which the driver gets together or not at all. False if it
 * has to wait for more of them. One that would not fit into all that a driver can offer is dropped.
 */
static bool put_frame(struct net *net)
{
	struct virtio_device *device = &net->device;
	struct virtqueue *queue = &device->queues[QUEUE_RX];
	const bool can_merge = device->driver_features & (1ULL << VIRTIO_NET_F_MRG_RXBUF);
	const unsigned n_max = can_merge ? queue->setup.size : 1;
	struct virtqueue_used used[VIRTQUEUE_SIZE_MAX];
	struct virtqueue_chain first, next;
	uint32_t done = 0;
	unsigned n = 0;

	while (done < net->pending && n < n_max && pop_rx(device, n == 0 ? &first : &next)) {
		const struct virtqueue_chain *chain = n == 0 ? &first : &next;
		const uint32_t skip = n == 0 ? HEADER_SIZE : 0;
		const uint32_t part = fill(net, chain, skip, done);

		used[n++] = (struct virtqueue_used) { .head = chain->head, .written = skip + part };
		done += part;
	}
	if (!device->is_active)
		return false;
	if (done == net->pending) {
		put_header(&first, n);
		virtqueue_push_together(queue, used, n);
	} else {
		for (unsigned i = 0; i < n; i++)
			virtqueue_unpop(queue);
		if (n < n_max)
			return false;
		log_warn_limited("%s: dropped a frame for which the guest's buffers are too small", device->name);
	}
	net->pending = 0;
	return true;
}

/* Returns the number of frames taken. While the guest has no buffers, the next ones stay in the socket. */
static unsigned serve_rx(struct net *net)
{
	unsigned n_frames = 0;

	while (n_frames < FRAMES_PER_PASS && net->device.is_active && (net->pending || net->is_readable)) {
		n_frames++;
		if (!net->pending)
			receive_frame(net);
		if (net->pending && !put_frame(net))
			break;
	}
	virtio_device_complete(&net->device, QUEUE_RX);
	return n_frames;
}

/* ---- the device -------------------------------------------------------------------------------------------------- */

static void net_serve(struct virtio_device *device)
{
	struct net *net = (struct net *)device;
	const unsigned n_sent = serve_tx(net);
	const unsigned n_received = serve_rx(net);

	if (device->is_active && (n_sent == FRAMES_PER_PASS || n_received == FRAMES_PER_PASS))
		device->transport_ops->serve_again(device->transport);
}

static void peer_ready(void *opaque, uint32_t events)
{
	struct net *net = opaque;

	pthread_mutex_lock(&net->device.lock);
	if (net->peer.fd >= 0) {
		if (events & (EPOLLIN | EPOLLHUP | EPOLLERR))
			net->is_readable = true;
		if (events & EPOLLOUT)
			set_full(net, false);
		if (net->device.is_active)
			net_serve(&net->device);
	}
	pthread_mutex_unlock(&net->device.lock);
}

/* A frame that waited was for the driver that went. */
static void net_reset(struct virtio_device *device)
{
	struct net *net = (struct net *)device;

	net->pending = 0;
}

/* Frames are lost, as frames may be. What the guest's driver has read of the device must go on to be so. */
static void net_save(const struct virtio_device *device, struct state_writer *writer)
{
	const struct net *net = (const struct net *)device;

	state_put(writer, net->config.mac, sizeof(net->config.mac));
	state_put_uint(writer, le16toh(net->config.mtu), 2);
}

static int net_restore(struct virtio_device *device, struct bytes *in, struct error *err)
{
	const struct net *net = (const struct net *)device;
	const uint8_t *mac = bytes_take(in, sizeof(net->config.mac));
	const uint16_t mtu = bytes_get_u16(in);

	if (in->failed ||
	    (memcmp(mac, net->config.mac, sizeof(net->config.mac)) == 0 && mtu == le16toh(net->config.mtu)))
		return 0;
	return error_set(err, EINVAL, "foreign: its network device has another address or an MTU of %u, not %u", mtu,
			 NETWORK_MTU);
}

static void net_destroy(struct virtio_device *device)
{
	struct net *net = (struct net *)device;

	if (net->peer.fd >= 0)
		close(net->peer.fd);
	free(net);
}

static const struct virtio_device_ops net_ops = {
	.id = VIRTIO_ID_NET,
	.n_queues = N_QUEUES,
	.queue_size_max = QUEUE_SIZE,
	.serve = net_serve,
	.reset = net_reset,
	.save = net_save,
	.restore = net_restore,
	.destroy = net_destroy,
};

struct virtio_device *virtio_net_create(int fd, struct event_loop *loop, struct error *err)
{
	int type = 0;
	socklen_t size = sizeof(type);
	struct net *net;

	if (getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &size) < 0 || type != SOCK_SEQPACKET) {
		error_set(err, EINVAL, "--net %d: not an inherited socket of type SOCK_SEQPACKET", fd);
		return NULL;
	}
	net = calloc(1, sizeof(*net));
	if (!net) {
		error_set(err, ENOMEM, "net: out of memory");
		return NULL;
	}
	net->device = (struct virtio_device) {
		.ops = &net_ops,
		.name = "net",
		.features = FEATURES,
		.config = &net->config,
		.config_size = offsetof(struct virtio_net_config, mtu) + sizeof(net->config.mtu),
	};
	memcpy(net->config.mac, NETWORK_GUEST_MAC, sizeof(net->config.mac));
	net->config.mtu = htole16(NETWORK_MTU);
	net->loop = loop;
	net->peer = (struct event_source) { .fd = fd, .ready = peer_ready, .opaque = net };
	return &net->device;
}

int virtio_net_start(struct virtio_device *device)
{
	struct net *net = (struct net *)device;

	return event_loop_add(net->loop, &net->peer, events_of_interest(net));
}
