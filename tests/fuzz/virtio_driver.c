/* A driver that does anything, and the other ends of a vsock device: see virtio_driver.h. */
#include "tests/fuzz/virtio_driver.h"

#include "common/network_protocol.h"
#include "tests/fuzz/fuzz.h"
#include "vmm/virtio/vsock_flow.h"
#include "vmm/virtio/vsock_host.h"

#include <errno.h>
#include <linux/virtio_net.h>
#include <linux/virtio_ring.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

enum { SIZE = 16, MEMORY_SIZE = 4 << 20 };

static void on_broken(void *opaque, const char *what)
{
	struct virtio_driver *f = opaque;

	(void)what;
	f->n_broken++;
}

static gpa_t ring_base(unsigned queue)
{
	return 0x1000 + queue * 0x4000ULL;
}

static void write32(struct virtio_driver *f, uint64_t offset, uint32_t value)
{
	virtio_mmio_access(&f->mmio, offset, (uint8_t *)&value, 4, true);
}

static bool is_net(const struct virtio_driver *f)
{
	return f->mmio.device->ops->n_queues == 2;
}

/* A start-up as it should be, now and then with a wrong address or size. */
static void start(struct virtio_driver *f)
{
	uint32_t features;

	memset(guest_memory_get(&f->memory, 0, 0x10000), 0, 0x10000);
	write32(f, 0x70, 0);
	write32(f, 0x70, 1);
	write32(f, 0x70, 3);
	write32(f, 0x24, 1);
	write32(f, 0x20, 1);
	write32(f, 0x24, 0);
	features = choose_rarely(&f->choices, 2) ? 1U << VIRTIO_RING_F_EVENT_IDX : 0;
	if (is_net(f))
		features |= 1U << VIRTIO_NET_F_CSUM;
	if (is_net(f) && !choose_rarely(&f->choices, 4))
		features |= 1U << VIRTIO_NET_F_MRG_RXBUF;
	write32(f, 0x20, features);
	write32(f, 0x70, 0xb);
	for (unsigned i = 0; i < f->mmio.device->ops->n_queues; i++) {
		write32(f, 0x30, i);
		write32(f, 0x38,
			choose_rarely(&f->choices, 100)               ? (uint32_t)choose(&f->choices, 4)
			: f->mmio.device->ops->queue_size_max >= SIZE ? SIZE
								      : 8);
		write32(f, 0x80,
			choose_rarely(&f->choices, 100) ? (uint32_t)choose(&f->choices, 4) : (uint32_t)ring_base(i));
		write32(f, 0x84, choose_rarely(&f->choices, 100) ? (uint32_t)choose(&f->choices, 4) : 0);
		write32(f, 0x90, (uint32_t)ring_base(i) + 0x1000);
		write32(f, 0xa0, (uint32_t)ring_base(i) + 0x2000);
		write32(f, 0x44, 1);
	}
	write32(f, 0x70, 0xf);
}

/* One of the 64 buffers that all descriptors point to. */
static gpa_t choose_buffer(struct virtio_driver *f)
{
	return 0x20000 + choose_below(&f->choices, 64) * 0x1000ULL;
}

/* To a connection that the device has spoken about, if it has, or to one that may well exist. */
static void choose_ports(struct virtio_driver *f, struct vsock_header *header)
{
	struct vsock_header seen;

	header->source_port = 1024 + choose_below(&f->choices, 3);
	header->destination_port = 1025 + choose_below(&f->choices, 2);
	vsock_header_get(&seen, guest_memory_get(&f->memory, choose_buffer(f), VSOCK_HEADER_SIZE));
	if (seen.source_cid != VSOCK_HOST_CID)
		return;
	header->source_port = seen.destination_port;
	header->destination_port = seen.source_port;
	if (seen.op == VIRTIO_VSOCK_OP_REQUEST && !choose_rarely(&f->choices, 4))
		header->op = VIRTIO_VSOCK_OP_RESPONSE;
}

static void put_packet(struct virtio_driver *f, gpa_t at, uint32_t room)
{
	static const uint16_t ops[] = { VIRTIO_VSOCK_OP_REQUEST,
					VIRTIO_VSOCK_OP_RW,
					VIRTIO_VSOCK_OP_RW,
					VIRTIO_VSOCK_OP_RW,
					VIRTIO_VSOCK_OP_CREDIT_UPDATE,
					VIRTIO_VSOCK_OP_CREDIT_REQUEST };
	struct vsock_header header = {
		.source_cid = choose_rarely(&f->choices, 200) ? (uint32_t)choose(&f->choices, 4) : VSOCK_GUEST_CID,
		.destination_cid = VSOCK_HOST_CID,
		.type = choose_rarely(&f->choices, 200) ? (uint16_t)(uint32_t)choose(&f->choices, 4)
							: VIRTIO_VSOCK_TYPE_STREAM,
		.op = choose_rarely(&f->choices, 60) ? (uint16_t)choose_below(&f->choices, 9)
						     : ops[choose_below(&f->choices, 6)],
		.flags = choose_below(&f->choices, 4),
		.buf_alloc = choose_rarely(&f->choices, 20) ? (uint32_t)choose(&f->choices, 4) : 1U << 20,
		.fwd_cnt = choose_rarely(&f->choices, 20) ? (uint32_t)choose(&f->choices, 4) : 0,
	};

	choose_ports(f, &header);
	if (header.op == VIRTIO_VSOCK_OP_RW && room > VSOCK_HEADER_SIZE)
		header.length = choose_rarely(&f->choices, 300) ? (uint32_t)choose(&f->choices, 4)
								: choose_below(&f->choices, room - VSOCK_HEADER_SIZE);
	vsock_header_put(&header, guest_memory_get(&f->memory, at, VSOCK_HEADER_SIZE));
}

static void put_request(struct virtio_driver *f, gpa_t at)
{
	const struct {
		uint32_t type, reserved;
		uint64_t sector;
	} header = { .type = choose_rarely(&f->choices, 20) ? (uint32_t)choose(&f->choices, 4)
							    : choose_below(&f->choices, 10),
		     .sector = choose_rarely(&f->choices, 20)
				       ? (uint64_t)(uint32_t)choose(&f->choices, 4) << choose_below(&f->choices, 40)
				       : choose_below(&f->choices, 2048) };

	memcpy(guest_memory_get(&f->memory, at, sizeof(header)), &header, sizeof(header));
}

static void put_net_header(struct virtio_driver *f, gpa_t at)
{
	const struct virtio_net_hdr_v1 header = {
		.flags = choose_rarely(&f->choices, 3) ? VIRTIO_NET_HDR_F_NEEDS_CSUM : 0,
		.csum_start = (uint16_t)choose_below(&f->choices, 80),
		.csum_offset = choose_rarely(&f->choices, 4) ? (uint16_t)choose(&f->choices, 2) : 6,
	};

	memcpy(guest_memory_get(&f->memory, at, sizeof(header)), &header, sizeof(header));
}

/* Chains as the device's drivers make them: `n_readable` segments, then `n_writable`. */
struct shape {
	unsigned n_readable, n_writable;
};

static struct shape shape_of(struct virtio_driver *f, unsigned queue)
{
	if (f->mmio.device->ops->n_queues >= 2) /* vsock, net */
		return queue == 1 ? (struct shape) { 1 + choose_below(&f->choices, 2), 0 }
				  : (struct shape) { 0, 1 + choose_below(&f->choices, 2) };
	if (f->mmio.device->ops->queue_size_max > 8) /* disk */
		return choose_rarely(&f->choices, 2) ? (struct shape) { 1, 1 + choose_below(&f->choices, 2) }
						     : (struct shape) { 2, 1 };
	return (struct shape) { 0, 1 + choose_below(&f->choices, 3) };
}

static uint32_t choose_length(struct virtio_driver *f)
{
	static const uint32_t lengths[] = { 1, 16, 44, 512, 1024, 3776, 4096, 65536 };

	return choose_rarely(&f->choices, 4) ? 1 + choose_below(&f->choices, 70000)
					     : lengths[choose_below(&f->choices, 8)];
}

/* Fills the table with chains that begin at every fourth descriptor; now and then something is wrong. */
static void put_descriptors(struct virtio_driver *f, unsigned queue)
{
	for (unsigned i = 0; i < SIZE; i++) {
		static struct shape shape;
		const unsigned place = i % 4;
		struct vring_desc d = { .addr = choose_buffer(f), .len = choose_length(f), .next = (uint16_t)(i + 1) };

		if (place == 0)
			shape = shape_of(f, queue);
		if (place == 0 && f->mmio.device->ops->n_queues == 1) {
			put_request(f, d.addr);
			d.len = 16;
		} else if (place == 0 && queue == 1 && is_net(f)) {
			put_net_header(f, d.addr);
		} else if (place == 0 && queue == 1) {
			d.len += VSOCK_HEADER_SIZE;
			put_packet(f, d.addr, d.len);
		} else if (queue == 0 && f->mmio.device->ops->n_queues >= 2) {
			d.len += VSOCK_HEADER_SIZE;
		}
		if (place >= shape.n_readable)
			d.flags |= VRING_DESC_F_WRITE;
		if (place + 1 < shape.n_readable + shape.n_writable)
			d.flags |= VRING_DESC_F_NEXT;
		if (choose_rarely(&f->choices, 2000)) {
			d.addr = choose_rarely(&f->choices, 3) ? (uint32_t)choose(&f->choices, 4) : d.addr;
			d.len = choose_rarely(&f->choices, 3) ? (uint32_t)choose(&f->choices, 4) : d.len;
			d.flags = (uint16_t)(uint32_t)choose(&f->choices, 4);
			d.next = (uint16_t)(uint32_t)choose(&f->choices, 4);
		}
		memcpy(guest_memory_get(&f->memory, ring_base(queue) + 16ULL * i, 16), &d, 16);
	}
}

static void offer(struct virtio_driver *f)
{
	const unsigned queue = choose_below(&f->choices, f->mmio.device->ops->n_queues);
	const gpa_t available = ring_base(queue) + 0x1000;
	uint16_t *entries = guest_memory_get(&f->memory, available, 6 + 2 * SIZE);

	const uint16_t *used = guest_memory_get(&f->memory, ring_base(queue) + 0x2000, 4);

	if (choose_rarely(&f->choices, 2))
		put_descriptors(f, queue);
	if (!f->mmio.device->queues[queue].descriptors)
		return;
	for (uint32_t n = choose_below(&f->choices, 4); n > 0 && (uint16_t)(entries[1] - used[1]) < 8; n--) {
		entries[2 + entries[1] % f->mmio.device->queues[queue].setup.size] =
			(uint16_t)(choose_rarely(&f->choices, 1000) ? (uint32_t)choose(&f->choices, 4)
								    : 4 * choose_below(&f->choices, 2));
		entries[1]++;
	}
	if (choose_rarely(&f->choices, 2000))
		entries[1] = (uint16_t)(uint32_t)choose(&f->choices, 4);
	entries[2 + SIZE] = (uint16_t)(uint32_t)choose(&f->choices, 4);
}

static void connect_client(struct virtio_driver *f, int *client)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };

	snprintf(address.sun_path, sizeof(address.sun_path), "%s", f->path);
	*client = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0);
	if (connect(*client, (struct sockaddr *)&address, sizeof(address)) < 0)
		return;
	if (send(*client, "CONNECT 1024\nmore bytes", 13 + choose_below(&f->choices, 10), MSG_NOSIGNAL) < 0)
		return;
}

/* What the other ends of the sockets do: come, write, read, half-close, go. */
static void disturb_host(struct virtio_driver *f)
{
	int *client = &f->clients[choose_below(&f->choices, VIRTIO_DRIVER_CLIENTS_MAX)];
	static char data[70000];

	if (*client < 0) {
		if (choose_rarely(&f->choices, 2))
			connect_client(f, client);
		else
			*client = accept4(f->service, NULL, NULL, SOCK_NONBLOCK);
		return;
	}
	switch (choose_below(&f->choices, 40)) {
	case 0:
		close(*client);
		*client = -1;
		break;
	case 1:
		shutdown(*client, choose_rarely(&f->choices, 2) ? SHUT_WR : SHUT_RD);
		break;
	case 2:
	case 3:
	case 4:
		if (recv(*client, data, sizeof(data), 0) < 0)
			break;
		break;
	default:
		if (send(*client, data, choose_below(&f->choices, sizeof(data)), MSG_NOSIGNAL) < 0)
			break;
		break;
	}
}

/* What the other end of a network does: send and take frames of any length, and once go. */
static void disturb_network(struct virtio_driver *f)
{
	static char frame[NETWORK_FRAME_MAX + 2];

	if (choose_rarely(&f->choices, 20000)) {
		close(f->network);
		f->network = -1;
	} else if (choose_rarely(&f->choices, 3)) {
		while (recv(f->network, frame, sizeof(frame), 0) > 0)
			;
	} else if (send(f->network, frame,
			choose_rarely(&f->choices, 4) ? choose_below(&f->choices, sizeof(frame) + 1)
						      : choose_below(&f->choices, 3000),
			MSG_NOSIGNAL) < 0) {
		return;
	}
}

void virtio_driver_do(struct virtio_driver *f)
{
	uint8_t data[8] = { 0 };
	uint16_t used_before;

	if (!f->mmio.device->is_active && choose_rarely(&f->choices, 3))
		start(f);
	if (choose_rarely(&f->choices, 200)) {
		for (unsigned i = 0; i < 8; i++)
			data[i] = (uint8_t)(uint32_t)choose(&f->choices, 4);
		virtio_mmio_access(&f->mmio, choose_below(&f->choices, 0x200), data, 1U << choose_below(&f->choices, 4),
				   choose_rarely(&f->choices, 2));
	}
	if (choose_rarely(&f->choices, 1000))
		write32(f, 0x70, 0);
	if (f->mmio.device->is_active)
		offer(f);
	if (f->service >= 0 && choose_rarely(&f->choices, 4))
		disturb_host(f);
	if (f->network >= 0 && choose_rarely(&f->choices, 2))
		disturb_network(f);
	used_before = f->mmio.device->queues[0].next_used;
	virtio_mmio_kicked(&f->mmio, 0);
	event_loop_run_once(&f->loop, 0);
	f->n_pushed += (uint16_t)(f->mmio.device->queues[0].next_used - used_before);
	FUZZ_CHECK(!f->mmio.device->is_active || !(f->mmio.status & 0x40));
}

bool virtio_driver_open(struct virtio_driver *f)
{
	*f = (struct virtio_driver) { .service = -1, .network = -1 };
	memset(f->clients, 0xff, sizeof(f->clients));
	return guest_memory_init(&f->memory, MEMORY_SIZE) == 0 && event_loop_open(&f->loop) == 0;
}

/* vsock's service listens at port 1025 of the path. */
static bool listen_for_guest(struct virtio_driver *f)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };

	snprintf(address.sun_path, sizeof(address.sun_path), "%s_1025", f->path);
	f->service = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	return bind(f->service, (struct sockaddr *)&address, sizeof(address)) == 0 && listen(f->service, 8) == 0;
}

struct virtio_device *virtio_driver_open_vsock(struct virtio_driver *f)
{
	struct error err = { 0 };

	snprintf(f->directory, sizeof(f->directory), "/tmp/fuzz-XXXXXX");
	if (!mkdtemp(f->directory))
		return NULL;
	snprintf(f->path, sizeof(f->path), "%s/v", f->directory);
	return listen_for_guest(f) ? virtio_vsock_create(vsock_host_listen(f->path, &err), f->path, &f->loop, &err)
				   : NULL;
}

struct virtio_device *virtio_driver_open_net(struct virtio_driver *f)
{
	struct error err = { 0 };
	int ends[2];

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK, 0, ends) < 0)
		return NULL;
	f->network = ends[1];
	return virtio_net_create(ends[0], &f->loop, &err);
}

void virtio_driver_attach(struct virtio_driver *f, struct virtio_device *device)
{
	FUZZ_CHECK(device);
	virtio_mmio_init(&f->mmio, device, &f->memory, eventfd(0, EFD_NONBLOCK), eventfd(0, EFD_NONBLOCK), on_broken,
			 f);
	if (f->service >= 0)
		FUZZ_CHECK(virtio_vsock_start(device) == 0);
	if (f->network >= 0)
		FUZZ_CHECK(virtio_net_start(device) == 0);
}

void virtio_driver_close(struct virtio_driver *f)
{
	char path[96];

	close(f->mmio.kick_fd);
	close(f->mmio.interrupt_fd);
	virtio_mmio_fini(&f->mmio);
	for (unsigned i = 0; i < VIRTIO_DRIVER_CLIENTS_MAX; i++)
		if (f->clients[i] >= 0)
			close(f->clients[i]);
	if (f->network >= 0)
		close(f->network);
	if (f->service >= 0) {
		close(f->service);
		unlink(f->path);
		snprintf(path, sizeof(path), "%s_1025", f->path);
		unlink(path);
		rmdir(f->directory);
	}
	event_loop_close(&f->loop);
	guest_memory_fini(&f->memory);
}
