/*
 * Devices against a driver that does anything: random registers, rings, descriptors and packets, half of them nearly
 * right so that they get far. There is nothing to assert but that the device stays alive or breaks in order; the
 * sanitizers watch. The seed is fixed: a failure comes again. HEARTH_FUZZ_ROUNDS=n runs longer.
 */
#include "tests/unit/test_ring.h"
#include "vmm/event_loop.h"
#include "vmm/virtio/blk.h"
#include "vmm/virtio/mmio.h"
#include "vmm/virtio/rng.h"
#include "vmm/virtio/vsock.h"
#include "vmm/virtio/vsock_flow.h"
#include "vmm/virtio/vsock_host.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

enum { SIZE = 16, ROUNDS = 100000, CLIENTS_MAX = 8 };

struct fixture {
	struct guest_memory memory;
	struct event_loop loop;
	struct virtio_mmio mmio;
	unsigned n_broken, n_pushed;
	char directory[32], path[64], service_path[80];
	int service;
	int clients[CLIENTS_MAX];
};

static uint64_t random_state = 0x853c49e6748fea9b;

static uint32_t random_u32(void)
{
	random_state = random_state * 6364136223846793005ULL + 1442695040888963407ULL;
	return (uint32_t)(random_state >> 33);
}

static uint32_t random_below(uint32_t n)
{
	return random_u32() % n;
}

static bool one_in(uint32_t n)
{
	return random_below(n) == 0;
}

static unsigned rounds(void)
{
	const char *text = getenv("HEARTH_FUZZ_ROUNDS");

	return text ? (unsigned)strtoul(text, NULL, 10) : ROUNDS;
}

static void on_broken(void *opaque, const char *what)
{
	struct fixture *f = opaque;

	(void)what;
	f->n_broken++;
}

static gpa_t ring_base(unsigned queue)
{
	return 0x1000 + queue * 0x4000ULL;
}

static void write32(struct fixture *f, uint64_t offset, uint32_t value)
{
	virtio_mmio_access(&f->mmio, offset, (uint8_t *)&value, 4, true);
}

/* A start-up as it should be, now and then with a wrong address or size. */
static void start(struct fixture *f)
{
	memset(guest_memory_get(&f->memory, 0, 0x10000), 0, 0x10000);
	write32(f, 0x70, 0);
	write32(f, 0x70, 1);
	write32(f, 0x70, 3);
	write32(f, 0x24, 1);
	write32(f, 0x20, 1);
	write32(f, 0x24, 0);
	write32(f, 0x20, one_in(2) ? 1U << VIRTIO_RING_F_EVENT_IDX : 0);
	write32(f, 0x70, 0xb);
	for (unsigned i = 0; i < f->mmio.device->ops->n_queues; i++) {
		write32(f, 0x30, i);
		write32(f, 0x38, one_in(100) ? random_u32() : f->mmio.device->ops->queue_size_max >= SIZE ? SIZE : 8);
		write32(f, 0x80, one_in(100) ? random_u32() : (uint32_t)ring_base(i));
		write32(f, 0x84, one_in(100) ? random_u32() : 0);
		write32(f, 0x90, (uint32_t)ring_base(i) + 0x1000);
		write32(f, 0xa0, (uint32_t)ring_base(i) + 0x2000);
		write32(f, 0x44, 1);
	}
	write32(f, 0x70, 0xf);
}

/* One of the 64 buffers that all descriptors point to. */
static gpa_t random_buffer(void)
{
	return 0x20000 + random_below(64) * 0x1000ULL;
}

/* To a connection that the device has spoken about, if it has, or to one that may well exist. */
static void choose_ports(struct fixture *f, struct vsock_header *header)
{
	struct vsock_header seen;

	header->source_port = 1024 + random_below(3);
	header->destination_port = 1025 + random_below(2);
	vsock_header_get(&seen, guest_memory_get(&f->memory, random_buffer(), VSOCK_HEADER_SIZE));
	if (seen.source_cid != VSOCK_HOST_CID)
		return;
	header->source_port = seen.destination_port;
	header->destination_port = seen.source_port;
	if (seen.op == VIRTIO_VSOCK_OP_REQUEST && !one_in(4))
		header->op = VIRTIO_VSOCK_OP_RESPONSE;
}

static void put_packet(struct fixture *f, gpa_t at, uint32_t room)
{
	static const uint16_t ops[] = { VIRTIO_VSOCK_OP_REQUEST,
					VIRTIO_VSOCK_OP_RW,
					VIRTIO_VSOCK_OP_RW,
					VIRTIO_VSOCK_OP_RW,
					VIRTIO_VSOCK_OP_CREDIT_UPDATE,
					VIRTIO_VSOCK_OP_CREDIT_REQUEST };
	struct vsock_header header = {
		.source_cid = one_in(200) ? random_u32() : VSOCK_GUEST_CID,
		.destination_cid = VSOCK_HOST_CID,
		.type = one_in(200) ? (uint16_t)random_u32() : VIRTIO_VSOCK_TYPE_STREAM,
		.op = one_in(60) ? (uint16_t)random_below(9) : ops[random_below(6)],
		.flags = random_below(4),
		.buf_alloc = one_in(20) ? random_u32() : 1U << 20,
		.fwd_cnt = one_in(20) ? random_u32() : 0,
	};

	choose_ports(f, &header);
	if (header.op == VIRTIO_VSOCK_OP_RW && room > VSOCK_HEADER_SIZE)
		header.length = one_in(300) ? random_u32() : random_below(room - VSOCK_HEADER_SIZE);
	vsock_header_put(&header, guest_memory_get(&f->memory, at, VSOCK_HEADER_SIZE));
}

static void put_request(struct fixture *f, gpa_t at)
{
	const struct {
		uint32_t type, reserved;
		uint64_t sector;
	} header = { .type = one_in(20) ? random_u32() : random_below(10),
		     .sector = one_in(20) ? (uint64_t)random_u32() << random_below(40) : random_below(2048) };

	memcpy(guest_memory_get(&f->memory, at, sizeof(header)), &header, sizeof(header));
}

/* Chains as the device's drivers make them: `n_readable` segments, then `n_writable`. */
struct shape {
	unsigned n_readable, n_writable;
};

static struct shape shape_of(const struct fixture *f, unsigned queue)
{
	if (f->mmio.device->ops->n_queues == 3) /* vsock */
		return queue == 1 ? (struct shape) { 1 + random_below(2), 0 }
				  : (struct shape) { 0, 1 + random_below(2) };
	if (f->mmio.device->ops->queue_size_max > 8) /* disk */
		return one_in(2) ? (struct shape) { 1, 1 + random_below(2) } : (struct shape) { 2, 1 };
	return (struct shape) { 0, 1 + random_below(3) };
}

static uint32_t random_length(void)
{
	static const uint32_t lengths[] = { 1, 16, 44, 512, 1024, 3776, 4096, 65536 };

	return one_in(4) ? 1 + random_below(70000) : lengths[random_below(8)];
}

/* Fills the table with chains that begin at every fourth descriptor; now and then something is wrong. */
static void put_descriptors(struct fixture *f, unsigned queue)
{
	for (unsigned i = 0; i < SIZE; i++) {
		static struct shape shape;
		const unsigned place = i % 4;
		struct vring_desc d = { .addr = random_buffer(), .len = random_length(), .next = (uint16_t)(i + 1) };

		if (place == 0)
			shape = shape_of(f, queue);
		if (place == 0 && f->mmio.device->ops->n_queues == 1) {
			put_request(f, d.addr);
			d.len = 16;
		} else if (place == 0 && queue == 1) {
			d.len += VSOCK_HEADER_SIZE;
			put_packet(f, d.addr, d.len);
		} else if (queue == 0 && f->mmio.device->ops->n_queues == 3) {
			d.len += VSOCK_HEADER_SIZE;
		}
		if (place >= shape.n_readable)
			d.flags |= VRING_DESC_F_WRITE;
		if (place + 1 < shape.n_readable + shape.n_writable)
			d.flags |= VRING_DESC_F_NEXT;
		if (one_in(2000)) {
			d.addr = one_in(3) ? random_u32() : d.addr;
			d.len = one_in(3) ? random_u32() : d.len;
			d.flags = (uint16_t)random_u32();
			d.next = (uint16_t)random_u32();
		}
		memcpy(guest_memory_get(&f->memory, ring_base(queue) + 16ULL * i, 16), &d, 16);
	}
}

static void offer(struct fixture *f)
{
	const unsigned queue = random_below(f->mmio.device->ops->n_queues);
	const gpa_t available = ring_base(queue) + 0x1000;
	uint16_t *entries = guest_memory_get(&f->memory, available, 6 + 2 * SIZE);

	const uint16_t *used = guest_memory_get(&f->memory, ring_base(queue) + 0x2000, 4);

	if (one_in(2))
		put_descriptors(f, queue);
	if (!f->mmio.device->queues[queue].descriptors)
		return;
	for (uint32_t n = random_below(4); n > 0 && (uint16_t)(entries[1] - used[1]) < 8; n--) {
		entries[2 + entries[1] % f->mmio.device->queues[queue].setup.size] =
			(uint16_t)(one_in(1000) ? random_u32() : 4 * random_below(2));
		entries[1]++;
	}
	if (one_in(2000))
		entries[1] = (uint16_t)random_u32();
	entries[2 + SIZE] = (uint16_t)random_u32();
}

static void connect_client(struct fixture *f, int *client)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };

	snprintf(address.sun_path, sizeof(address.sun_path), "%s", f->path);
	*client = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0);
	if (connect(*client, (struct sockaddr *)&address, sizeof(address)) < 0)
		return;
	if (send(*client, "CONNECT 1024\nmore bytes", 13 + random_below(10), MSG_NOSIGNAL) < 0)
		return;
}

/* What the other ends of the sockets do: come, write, read, half-close, go. */
static void disturb_host(struct fixture *f)
{
	int *client = &f->clients[random_below(CLIENTS_MAX)];
	static char data[70000];

	if (*client < 0) {
		if (one_in(2))
			connect_client(f, client);
		else
			*client = accept4(f->service, NULL, NULL, SOCK_NONBLOCK);
		return;
	}
	switch (random_below(40)) {
	case 0:
		close(*client);
		*client = -1;
		break;
	case 1:
		shutdown(*client, one_in(2) ? SHUT_WR : SHUT_RD);
		break;
	case 2:
	case 3:
	case 4:
		if (recv(*client, data, sizeof(data), 0) < 0)
			break;
		break;
	default:
		if (send(*client, data, random_below(sizeof(data)), MSG_NOSIGNAL) < 0)
			break;
		break;
	}
}

static void one_round(struct fixture *f)
{
	uint8_t data[8] = { 0 };
	uint16_t used_before;

	if (!f->mmio.device->is_active && one_in(3))
		start(f);
	if (one_in(200)) {
		for (unsigned i = 0; i < 8; i++)
			data[i] = (uint8_t)random_u32();
		virtio_mmio_access(&f->mmio, random_below(0x200), data, 1U << random_below(4), one_in(2));
	}
	if (one_in(1000))
		write32(f, 0x70, 0);
	if (f->mmio.device->is_active)
		offer(f);
	if (f->service >= 0 && one_in(4))
		disturb_host(f);
	used_before = f->mmio.device->queues[0].next_used;
	virtio_mmio_kicked(&f->mmio, 0);
	event_loop_run_once(&f->loop, 0);
	f->n_pushed += (uint16_t)(f->mmio.device->queues[0].next_used - used_before);
	assert_true(!f->mmio.device->is_active || !(f->mmio.status & 0x40));
}

static void fuzz(struct fixture *f, struct virtio_device *device)
{
	assert_non_null(device);
	virtio_mmio_init(&f->mmio, device, &f->memory, eventfd(0, EFD_NONBLOCK), eventfd(0, EFD_NONBLOCK), on_broken,
			 f);
	if (f->service >= 0)
		assert_int_equal(virtio_vsock_start(device), 0);
	for (unsigned i = rounds(); i > 0; i--)
		one_round(f);
	/* Else it tested nothing: the driver must have got through, and must have been caught. */
	assert_true(f->n_pushed > 100);
	assert_true(f->n_broken > 10);
	close(f->mmio.kick_fd);
	close(f->mmio.interrupt_fd);
	virtio_mmio_fini(&f->mmio);
}

static int setup(void **state)
{
	static struct fixture f;

	memset(&f, 0, sizeof(f));
	f.service = -1;
	memset(f.clients, 0xff, sizeof(f.clients));
	assert_int_equal(guest_memory_init(&f.memory, TEST_MEMORY_SIZE), 0);
	assert_int_equal(event_loop_open(&f.loop), 0);
	*state = &f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	for (unsigned i = 0; i < CLIENTS_MAX; i++)
		if (f->clients[i] >= 0)
			close(f->clients[i]);
	event_loop_close(&f->loop);
	guest_memory_fini(&f->memory);
	return 0;
}

static void a_disk_survives_any_driver(void **state)
{
	int fd = memfd_create("disk", MFD_CLOEXEC);

	assert_int_equal(ftruncate(fd, 1 << 20), 0);
	fuzz(*state, virtio_blk_create_over(fd, 2048, false, 0));
}

static void the_random_source_survives_any_driver(void **state)
{
	fuzz(*state, virtio_rng_create());
}

static void vsock_survives_any_driver_and_any_host(void **state)
{
	struct fixture *f = *state;
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	struct error err = { 0 };
	struct virtio_device *device;

	snprintf(f->directory, sizeof(f->directory), "/tmp/fuzz-XXXXXX");
	assert_non_null(mkdtemp(f->directory));
	snprintf(f->path, sizeof(f->path), "%s/v", f->directory);
	snprintf(f->service_path, sizeof(f->service_path), "%s_1025", f->path);
	snprintf(address.sun_path, sizeof(address.sun_path), "%s", f->service_path);
	f->service = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0);
	assert_int_equal(bind(f->service, (struct sockaddr *)&address, sizeof(address)), 0);
	assert_int_equal(listen(f->service, 8), 0);
	device = virtio_vsock_create(vsock_host_listen(f->path, &err), f->path, &f->loop, &err);
	fuzz(f, device);
	close(f->service);
	unlink(f->path);
	unlink(f->service_path);
	rmdir(f->directory);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(a_disk_survives_any_driver, setup, teardown),
		cmocka_unit_test_setup_teardown(the_random_source_survives_any_driver, setup, teardown),
		cmocka_unit_test_setup_teardown(vsock_survives_any_driver_and_any_host, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
