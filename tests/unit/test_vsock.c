/*
 * The vsock device with a driver in plain memory on one side and real Unix sockets on the other. No KVM: the test calls
 * what the transport and the event loop would call.
 */
#include "tests/unit/test_guest.h"
#include "vmm/virtio/vsock.h"
#include "vmm/virtio/vsock_flow.h"
#include "vmm/virtio/vsock_host.h"
#include "vmm/virtio/vsock_table.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

enum {
	RING_SIZE = 256,
	RX_BUFFER_SIZE = 3776, /* as Linux posts them */
};

struct fixture {
	char directory[32], path[64], service_path[80];
	struct test_guest guest;
	int service; /* listens at host port 1025 */
};

static int listen_at(const char *path)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0);

	snprintf(address.sun_path, sizeof(address.sun_path), "%s", path);
	assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	assert_int_equal(listen(fd, 64), 0);
	return fd;
}

static int connect_to(const char *path)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0);

	snprintf(address.sun_path, sizeof(address.sun_path), "%s", path);
	assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	return fd;
}

static int setup(void **state)
{
	static struct fixture f;
	struct virtio_device *device;
	struct error err = { 0 };

	memset(&f, 0, sizeof(f));
	snprintf(f.directory, sizeof(f.directory), "/tmp/vsock-XXXXXX");
	assert_non_null(mkdtemp(f.directory));
	snprintf(f.path, sizeof(f.path), "%s/v", f.directory);
	snprintf(f.service_path, sizeof(f.service_path), "%s_1025", f.path);
	f.service = listen_at(f.service_path);
	test_guest_open(&f.guest);
	device = virtio_vsock_create(vsock_host_listen(f.path, &err), f.path, &f.guest.loop, &err);
	test_guest_attach(&f.guest, device);
	assert_int_equal(virtio_vsock_start(device), 0);
	test_guest_activate(&f.guest, RING_SIZE);
	*state = &f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	test_guest_detach(&f->guest);
	unlink(f->path);
	close(f->service);
	test_guest_close(&f->guest);
	unlink(f->service_path);
	rmdir(f->directory);
	return 0;
}

static void offer_rx(struct fixture *f, unsigned n)
{
	test_guest_offer_rx(&f->guest, n, RX_BUFFER_SIZE);
	test_guest_kick(&f->guest);
}

static struct vsock_header from_guest(uint16_t op, uint32_t guest_port, uint32_t host_port, uint32_t length)
{
	return (struct vsock_header) {
		.source_cid = VSOCK_GUEST_CID,
		.destination_cid = VSOCK_HOST_CID,
		.source_port = guest_port,
		.destination_port = host_port,
		.length = length,
		.type = VIRTIO_VSOCK_TYPE_STREAM,
		.op = op,
		.buf_alloc = 64 << 10,
	};
}

/* Header and payload in two segments, as some drivers do; `claimed` is what the header says. */
static void send_packet(struct fixture *f, const struct vsock_header *header, const void *payload, uint32_t size)
{
	const struct test_segment segments[] = { { TEST_TX_BUFFERS, VSOCK_HEADER_SIZE, 0 },
						 { TEST_TX_BUFFERS + 0x1000, size, 0 } };
	uint32_t head = 0, written = 0;

	vsock_header_put(header, test_memory(&f->guest.tx, TEST_TX_BUFFERS, VSOCK_HEADER_SIZE));
	if (size)
		memcpy(test_memory(&f->guest.tx, TEST_TX_BUFFERS + 0x1000, size), payload, size);
	test_ring_offer_chain(&f->guest.tx, segments, size ? 2 : 1);
	test_guest_kick(&f->guest);
	if (!*f->guest.broken)
		assert_true(test_ring_take(&f->guest.tx, &head, &written));
}

static void send_op(struct fixture *f, uint16_t op, uint32_t guest_port, uint32_t host_port)
{
	const struct vsock_header header = from_guest(op, guest_port, host_port, 0);

	send_packet(f, &header, NULL, 0);
}

/* The next packet that the guest received; false if there is none. *payload points into its buffer. */
static bool take_packet(struct fixture *f, struct vsock_header *header, const uint8_t **payload)
{
	uint32_t head = 0, written = 0;
	struct vring_desc descriptor;

	if (!test_ring_take(&f->guest.rx, &head, &written))
		return false;
	memcpy(&descriptor, test_memory(&f->guest.rx, f->guest.rx.setup.descriptors + 16ULL * head, 16), 16);
	vsock_header_get(header, test_memory(&f->guest.rx, descriptor.addr, VSOCK_HEADER_SIZE));
	assert_int_equal(written, VSOCK_HEADER_SIZE + header->length);
	*payload = (uint8_t *)test_memory(&f->guest.rx, descriptor.addr, descriptor.len) + VSOCK_HEADER_SIZE;
	return true;
}

static void expect_op(struct fixture *f, uint16_t op, struct vsock_header *header)
{
	const uint8_t *payload;

	test_guest_run_loop(&f->guest);
	assert_true(take_packet(f, header, &payload));
	assert_int_equal(header->op, op);
}

static void expect_silence(struct fixture *f)
{
	struct vsock_header header = { 0 };
	const uint8_t *payload;

	test_guest_run_loop(&f->guest);
	assert_false(take_packet(f, &header, &payload));
}

/* A connection from the guest's port 5000 to the service; returns the service's end. */
static int connect_from_guest(struct fixture *f)
{
	struct vsock_header header = { 0 };
	int fd;

	send_op(f, VIRTIO_VSOCK_OP_REQUEST, 5000, 1025);
	expect_op(f, VIRTIO_VSOCK_OP_RESPONSE, &header);
	fd = accept4(f->service, NULL, NULL, SOCK_NONBLOCK);
	assert_true(fd >= 0);
	return fd;
}

/* A connection from a client to the guest's port 1024; returns the client's end and the port it got. */
static int connect_from_host(struct fixture *f, uint32_t *host_port)
{
	int fd = connect_to(f->path);
	struct vsock_header header = { 0 };
	char line[64] = { 0 };

	assert_int_equal(write(fd, "CONNECT 1024\n", 13), 13);
	expect_op(f, VIRTIO_VSOCK_OP_REQUEST, &header);
	assert_int_equal(header.destination_port, 1024);
	assert_int_equal(read(fd, line, sizeof(line)), -1); /* no OK before the guest's */
	*host_port = header.source_port;
	send_op(f, VIRTIO_VSOCK_OP_RESPONSE, 1024, *host_port);
	assert_true(read(fd, line, sizeof(line) - 1) > 0);
	assert_int_equal(strtoul(line + 3, NULL, 10), *host_port);
	assert_memory_equal(line, "OK ", 3);
	return fd;
}

static void assert_eof(int fd)
{
	char byte;

	assert_int_equal(read(fd, &byte, 1), 0);
}

static void a_guest_talks_to_a_host_service(void **state)
{
	struct fixture *f = *state;
	struct vsock_header data = from_guest(VIRTIO_VSOCK_OP_RW, 5000, 1025, 5), header;
	const uint8_t *payload;
	char text[16];
	int fd;

	offer_rx(f, 8);
	fd = connect_from_guest(f);
	send_packet(f, &data, "hello", 5);
	assert_int_equal(read(fd, text, sizeof(text)), 5);
	assert_memory_equal(text, "hello", 5);
	assert_int_equal(write(fd, "world", 5), 5);
	test_guest_run_loop(&f->guest);
	assert_true(take_packet(f, &header, &payload));
	assert_int_equal(header.op, VIRTIO_VSOCK_OP_RW);
	assert_int_equal(header.source_port, 1025);
	assert_memory_equal(payload, "world", 5);
	assert_int_equal(header.fwd_cnt, 5);
	close(fd);
}

static void nobody_at_the_port_is_a_reset(void **state)
{
	struct fixture *f = *state;
	struct vsock_header header = { 0 };

	offer_rx(f, 4);
	send_op(f, VIRTIO_VSOCK_OP_REQUEST, 5000, 1026);
	expect_op(f, VIRTIO_VSOCK_OP_RST, &header);
	assert_int_equal(header.source_port, 1026);
	assert_int_equal(header.destination_port, 5000);
}

static void a_client_connects_and_bytes_behind_its_line_belong_to_the_stream(void **state)
{
	struct fixture *f = *state;
	struct vsock_header header = { 0 };
	const uint8_t *payload;
	int fd = connect_to(f->path);
	char line[32] = { 0 };

	offer_rx(f, 8);
	assert_int_equal(write(fd, "CONN", 4), 4); /* in two parts */
	expect_silence(f);
	assert_int_equal(write(fd, "ECT 1024\nearly", 14), 14);
	expect_op(f, VIRTIO_VSOCK_OP_REQUEST, &header);
	expect_silence(f); /* nothing before the guest has accepted */
	send_op(f, VIRTIO_VSOCK_OP_RESPONSE, 1024, header.source_port);
	assert_true(read(fd, line, sizeof(line)) > 0);
	assert_true(take_packet(f, &header, &payload));
	assert_int_equal(header.op, VIRTIO_VSOCK_OP_RW);
	assert_memory_equal(payload, "early", 5);
	close(fd);
}

static void a_guest_that_refuses_closes_the_client(void **state)
{
	struct fixture *f = *state;
	struct vsock_header header = { 0 };
	int fd = connect_to(f->path);

	offer_rx(f, 8);
	assert_int_equal(write(fd, "CONNECT 9\n", 10), 10);
	expect_op(f, VIRTIO_VSOCK_OP_REQUEST, &header);
	send_op(f, VIRTIO_VSOCK_OP_RST, 9, header.source_port);
	assert_eof(fd);
	close(fd);
}

static void clients_that_do_not_greet_properly_are_closed(void **state)
{
	static const char *const lines[] = { "GET / HTTP/1.1\r\n",
					     "CONNECT \n",
					     "CONNECT 1x\n",
					     "CONNECT 4294967296\n",
					     "CONNECT -1\n",
					     "connect 1\n",
					     "CONNECT 00000000000000000000000001\n" };
	struct fixture *f = *state;

	offer_rx(f, 8);
	for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
		int fd = connect_to(f->path);
		char byte;

		assert_true(write(fd, lines[i], strlen(lines[i])) > 0);
		test_guest_run_loop(&f->guest);
		/* Reset rather than closed when it had sent more than was read. */
		assert_true(read(fd, &byte, 1) == 0 || errno == ECONNRESET);
		close(fd);
	}
	expect_silence(f);
}

static void a_client_that_does_not_greet_is_closed_in_time(void **state)
{
	struct fixture *f = *state;
	int fd = connect_to(f->path);
	char byte;
	ssize_t status = -1;

	assert_int_equal(write(fd, "CONNECT", 7), 7);
	for (int i = 0; i < 100 && status < 0; i++) { /* its time is 5 s */
		event_loop_run_once(&f->guest.loop, 100);
		status = read(fd, &byte, 1);
	}
	assert_true(status == 0 || errno == ECONNRESET);
	close(fd);
}

static void before_the_driver_is_there_clients_are_closed(void **state)
{
	struct fixture *f = *state;
	int fd = connect_to(f->path);

	f->guest.mmio.device->is_active = false;
	assert_int_equal(write(fd, "CONNECT 1\n", 10), 10);
	test_guest_run_loop(&f->guest);
	assert_eof(fd);
	close(fd);
}

static void clients_get_different_ports(void **state)
{
	struct fixture *f = *state;
	uint32_t first, second;
	int a, b;

	offer_rx(f, 16);
	a = connect_from_host(f, &first);
	b = connect_from_host(f, &second);
	assert_true(first >= 1U << 30 && first < 1U << 31);
	assert_int_not_equal(first, second);
	close(a);
	close(b);
}

static void a_large_stream_to_the_guest_stops_at_its_credit(void **state)
{
	struct fixture *f = *state;
	struct vsock_header header, update;
	const uint8_t *payload;
	static char data[100000];
	uint32_t got = 0, host_port;
	int fd;
	ssize_t sent;

	offer_rx(f, 200);
	fd = connect_from_host(f, &host_port);
	sent = write(fd, data, sizeof(data));
	assert_true(sent > 70000);
	test_guest_run_loop(&f->guest);
	while (take_packet(f, &header, &payload) && header.op == VIRTIO_VSOCK_OP_RW)
		got += header.length;
	assert_int_equal(got, 64 << 10); /* all that the guest has room for */
	assert_int_equal(header.op, VIRTIO_VSOCK_OP_CREDIT_REQUEST);

	update = from_guest(VIRTIO_VSOCK_OP_CREDIT_UPDATE, 1024, host_port, 0);
	update.fwd_cnt = got;
	send_packet(f, &update, NULL, 0);
	while (take_packet(f, &header, &payload))
		got += header.length;
	assert_int_equal(got, sent);
	close(fd);
}

static void without_rx_buffers_data_waits_and_nothing_is_lost(void **state)
{
	struct fixture *f = *state;
	struct vsock_header header = { 0 };
	const uint8_t *payload;
	uint32_t host_port;
	int fd;
	char data[3 * RX_BUFFER_SIZE];
	uint32_t got = 0;

	offer_rx(f, 1);
	fd = connect_from_host(f, &host_port);
	for (size_t i = 0; i < sizeof(data); i++)
		data[i] = (char)(i * 7);
	assert_int_equal(write(fd, data, sizeof(data)), sizeof(data));
	expect_silence(f);
	while (got < sizeof(data)) {
		offer_rx(f, 1);
		assert_true(take_packet(f, &header, &payload));
		assert_memory_equal(payload, data + got, header.length);
		got += header.length;
	}
	close(fd);
}

static void a_slow_host_end_costs_the_guest_credit_not_bytes(void **state)
{
	struct fixture *f = *state;
	struct vsock_header header = { 0 };
	const uint8_t *payload;
	static uint8_t chunk[32 << 10], read_back[32 << 10];
	uint32_t fwd_cnt = 0, sent = 0, got = 0, stamp = 0, expected = 0;
	int small = 4096;
	int fd;

	offer_rx(f, 100);
	fd = connect_from_guest(f);
	setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &small, sizeof(small));
	/* The service does not read: send until the window is used up. */
	for (;;) {
		struct vsock_header data = from_guest(VIRTIO_VSOCK_OP_RW, 5000, 1025, sizeof(chunk));

		while (take_packet(f, &header, &payload))
			fwd_cnt = header.fwd_cnt;
		if (sent - fwd_cnt + sizeof(chunk) > VSOCK_WINDOW)
			break;
		for (size_t i = 0; i < sizeof(chunk); i += 4)
			memcpy(chunk + i, &(uint32_t) { stamp++ }, 4);
		send_packet(f, &data, chunk, sizeof(chunk));
		sent += (uint32_t)sizeof(chunk);
		assert_true(sent < 64 << 20);
	}
	assert_true(sent >= VSOCK_WINDOW);
	/* Now it reads all, in order, and the guest learns of it. */
	while (got < sent) {
		ssize_t n = read(fd, read_back, sizeof(read_back));

		if (n < 0) {
			test_guest_run_loop(&f->guest);
			continue;
		}
		assert_true(n % 4 == 0);
		for (ssize_t i = 0; i < n; i += 4) {
			uint32_t value;

			memcpy(&value, read_back + i, 4);
			assert_int_equal(value, expected++);
		}
		got += (uint32_t)n;
	}
	test_guest_run_loop(&f->guest);
	while (take_packet(f, &header, &payload))
		fwd_cnt = header.fwd_cnt;
	assert_true(sent - fwd_cnt < VSOCK_WINDOW_UPDATE);
	close(fd);
}

static void more_than_our_window_is_a_reset(void **state)
{
	struct fixture *f = *state;
	static const uint8_t chunk[VSOCK_PAYLOAD_MAX];
	struct vsock_header data = from_guest(VIRTIO_VSOCK_OP_RW, 5000, 1025, sizeof(chunk)), header;
	const uint8_t *payload;
	bool was_reset = false;
	int fd;

	offer_rx(f, 100);
	fd = connect_from_guest(f);
	for (int i = 0; i < 64 && !was_reset; i++) {
		send_packet(f, &data, chunk, sizeof(chunk));
		while (take_packet(f, &header, &payload))
			was_reset |= header.op == VIRTIO_VSOCK_OP_RST;
	}
	assert_true(was_reset);
	close(fd);
}

static void half_close_goes_through_in_both_directions(void **state)
{
	struct fixture *f = *state;
	struct vsock_header header, shut = from_guest(VIRTIO_VSOCK_OP_SHUTDOWN, 5000, 1025, 0);
	struct vsock_header data = from_guest(VIRTIO_VSOCK_OP_RW, 5000, 1025, 3);
	char text[8];
	int fd;

	offer_rx(f, 16);
	fd = connect_from_guest(f);
	shutdown(fd, SHUT_WR);
	expect_op(f, VIRTIO_VSOCK_OP_SHUTDOWN, &header);
	assert_int_equal(header.flags, VIRTIO_VSOCK_SHUTDOWN_SEND);
	send_packet(f, &data, "abc", 3); /* the other way still works */
	assert_int_equal(read(fd, text, sizeof(text)), 3);
	shut.flags = VIRTIO_VSOCK_SHUTDOWN_SEND;
	send_packet(f, &shut, NULL, 0);
	assert_eof(fd);
	close(fd);
	expect_op(f, VIRTIO_VSOCK_OP_SHUTDOWN, &header);
	assert_int_equal(header.flags, VIRTIO_VSOCK_SHUTDOWN_SEND | VIRTIO_VSOCK_SHUTDOWN_RCV);
}

static void a_guest_that_closes_is_answered_by_a_reset(void **state)
{
	struct fixture *f = *state;
	struct vsock_header header, shut = from_guest(VIRTIO_VSOCK_OP_SHUTDOWN, 5000, 1025, 0);
	int fd;

	offer_rx(f, 16);
	fd = connect_from_guest(f);
	shut.flags = VIRTIO_VSOCK_SHUTDOWN_SEND | VIRTIO_VSOCK_SHUTDOWN_RCV;
	send_packet(f, &shut, NULL, 0);
	expect_op(f, VIRTIO_VSOCK_OP_RST, &header);
	assert_eof(fd);
	close(fd);
	/* The port is free again. */
	close(connect_from_guest(f));
}

static void packets_of_no_connection_are_reset_and_resets_are_not(void **state)
{
	struct fixture *f = *state;
	struct vsock_header header, odd = from_guest(VIRTIO_VSOCK_OP_RW, 1, 2, 0);

	offer_rx(f, 16);
	send_op(f, VIRTIO_VSOCK_OP_RW, 1, 2);
	expect_op(f, VIRTIO_VSOCK_OP_RST, &header);
	send_op(f, VIRTIO_VSOCK_OP_RST, 1, 2);
	expect_silence(f);
	odd.type = 2; /* SEQPACKET, not offered */
	odd.op = VIRTIO_VSOCK_OP_REQUEST;
	send_packet(f, &odd, NULL, 0);
	expect_op(f, VIRTIO_VSOCK_OP_RST, &header);
	assert_int_equal(header.type, 2);
}

static void packets_between_other_cids_are_dropped(void **state)
{
	struct fixture *f = *state;
	struct vsock_header odd = from_guest(VIRTIO_VSOCK_OP_REQUEST, 5000, 1025, 0);

	offer_rx(f, 16);
	odd.source_cid = 4;
	send_packet(f, &odd, NULL, 0);
	odd.source_cid = VSOCK_GUEST_CID;
	odd.destination_cid = 7;
	send_packet(f, &odd, NULL, 0);
	expect_silence(f);
	assert_int_equal(accept(f->service, NULL, NULL), -1);
}

static void when_resets_pile_up_the_guest_must_take_them_first(void **state)
{
	struct fixture *f = *state;
	const struct vsock_header header = from_guest(VIRTIO_VSOCK_OP_RW, 1, 2, 0);
	const struct test_segment segment = { TEST_TX_BUFFERS, VSOCK_HEADER_SIZE, 0 };
	uint32_t head = 0, written = 0;
	unsigned n_taken = 0, n_resets = 0;
	struct vsock_header answer;
	const uint8_t *payload;

	vsock_header_put(&header, test_memory(&f->guest.tx, TEST_TX_BUFFERS, VSOCK_HEADER_SIZE));
	for (int i = 0; i < 200; i++)
		test_ring_offer_chain(&f->guest.tx, &segment, 1);
	test_guest_kick(&f->guest);
	while (test_ring_take(&f->guest.tx, &head, &written))
		n_taken++;
	assert_int_equal(n_taken, 64);
	/* With buffers it goes on by itself, and none is lost. */
	offer_rx(f, 250);
	while (take_packet(f, &answer, &payload))
		n_resets++;
	assert_int_equal(n_resets, 200);
	while (test_ring_take(&f->guest.tx, &head, &written))
		n_taken++;
	assert_int_equal(n_taken, 200);
}

static void a_header_that_is_cut_breaks_the_device(void **state)
{
	struct fixture *f = *state;
	const struct test_segment segment = { TEST_TX_BUFFERS, VSOCK_HEADER_SIZE - 1, 0 };

	test_ring_offer_chain(&f->guest.tx, &segment, 1);
	test_guest_kick(&f->guest);
	assert_non_null(strstr(f->guest.broken, "vsock: the driver broke queue 1: a packet shorter than its header"));
}

static void a_length_beyond_the_descriptors_breaks_the_device(void **state)
{
	struct fixture *f = *state;
	const struct vsock_header header = from_guest(VIRTIO_VSOCK_OP_RW, 5000, 1025, 11);

	send_packet(f, &header, "0123456789", 10);
	assert_non_null(strstr(f->guest.broken, "longer than its descriptors"));
}

static void a_huge_length_breaks_the_device(void **state)
{
	struct fixture *f = *state;
	const struct vsock_header header = from_guest(VIRTIO_VSOCK_OP_RW, 5000, 1025, UINT32_MAX);

	send_packet(f, &header, "0123456789", 10);
	assert_non_null(strstr(f->guest.broken, "longer than its descriptors or than 64 KiB"));
}

static void an_rx_buffer_without_room_breaks_the_device(void **state)
{
	struct fixture *f = *state;
	const struct test_segment segment = { TEST_RX_BUFFERS, VSOCK_HEADER_SIZE, VRING_DESC_F_WRITE };

	test_ring_offer_chain(&f->guest.rx, &segment, 1);
	send_op(f, VIRTIO_VSOCK_OP_RW, 1, 2);
	assert_non_null(strstr(f->guest.broken, "queue 0"));
}

static void a_reset_of_the_device_closes_all_and_it_works_again(void **state)
{
	struct fixture *f = *state;
	uint32_t status = 0, host_port = 0;
	int service, client;

	offer_rx(f, 16);
	service = connect_from_guest(f);
	client = connect_from_host(f, &host_port);
	virtio_mmio_access(&f->guest.mmio, 0x70, (uint8_t *)&status, 4, true);
	assert_eof(service);
	assert_eof(client);
	close(service);
	close(client);

	test_guest_activate(&f->guest, RING_SIZE);
	offer_rx(f, 16);
	close(connect_from_guest(f));
}

/* ---- snapshots --------------------------------------------------------------------------------------------------- */

enum { EVENT = 2, EVENT_RING = 0x11000, EVENT_BUFFERS = 0x200000, N_EVENT_BUFFERS = 8 };

/* As if the driver had set the device up by its registers, which is what a snapshot is made of. */
static void fill_registers(struct fixture *f, struct test_ring *events)
{
	const struct virtqueue_setup *const setups[] = { &f->guest.rx.setup, &f->guest.tx.setup, &events->setup };

	f->guest.mmio.status = 0xf;
	f->guest.mmio.driver_features = 1ULL << 32 | 1ULL << VIRTIO_RING_F_EVENT_IDX;
	for (int i = 0; i < 3; i++)
		f->guest.mmio.queues[i] = (struct virtio_mmio_queue) { *setups[i], true };
}

/* Saves the device and puts a new one, restored from that, in its place; the guest's memory stays. */
static void save_and_restore(struct fixture *f)
{
	struct state_writer writer;
	struct state_reader reader;
	struct virtio_device *device;
	struct error err = { 0 };
	const uint8_t id[SNAPSHOT_ID_SIZE] = { 1 };
	const int kick_fd = f->guest.mmio.kick_fd, interrupt_fd = f->guest.mmio.interrupt_fd;
	char path[64];
	int fd;

	state_writer_init(&writer, id);
	virtio_mmio_save(&f->guest.mmio, 4, &writer);
	virtio_mmio_fini(&f->guest.mmio);
	snprintf(path, sizeof(path), "%s/state", f->directory);
	fd = open(path, O_RDWR | O_CREAT | O_TRUNC, 0600);
	assert_int_equal(state_writer_finish(&writer, fd, &err), 0);
	close(fd);
	state_writer_fini(&writer);
	device = virtio_vsock_create(vsock_host_listen(f->path, &err), f->path, &f->guest.loop, &err);
	virtio_mmio_init(&f->guest.mmio, device, &f->guest.memory, kick_fd, interrupt_fd, test_guest_on_broken,
			 &f->guest);
	assert_int_equal(virtio_vsock_start(device), 0);
	assert_int_equal(state_reader_open(&reader, path, &err), 0);
	assert_int_equal(virtio_mmio_restore(&f->guest.mmio, 4, &reader, &err), 0);
	assert_int_equal(state_reader_finish(&reader, &err), 0);
	state_reader_fini(&reader);
	unlink(path);
	virtio_mmio_restored(&f->guest.mmio);
}

static void init_events(struct fixture *f, struct test_ring *events)
{
	test_ring_init(events, &f->guest.memory, EVENT_RING, 16);
	assert_int_equal(virtqueue_init(&f->guest.mmio.device->queues[EVENT], &f->guest.memory, &events->setup, true),
			 0);
	for (unsigned i = 0; i < N_EVENT_BUFFERS; i++)
		test_ring_offer_chain(events, &(struct test_segment) { EVENT_BUFFERS + 16 * i, 4, VRING_DESC_F_WRITE },
				      1);
}

static void a_restored_device_goes_on_where_it_was(void **state)
{
	struct fixture *f = *state;
	struct test_ring events;
	struct vsock_header header = { 0 };
	uint32_t head, written, before, after;
	int fd;

	init_events(f, &events);
	fill_registers(f, &events);
	offer_rx(f, 16);
	fd = connect_from_host(f, &before);
	close(fd);
	expect_op(f, VIRTIO_VSOCK_OP_SHUTDOWN, &header);
	send_op(f, VIRTIO_VSOCK_OP_RST, 1024, before);
	assert_int_equal(virtio_vsock_n_connections(f->guest.mmio.device), 0);

	save_and_restore(f);
	test_guest_kick(&f->guest);
	assert_false(test_ring_take(&events, &head, &written)); /* nothing was lost: nothing is told */
	fd = connect_from_host(f, &after);
	assert_int_equal(after, before + 1); /* not the port that the guest may still remember */
	assert_int_equal(virtio_vsock_n_connections(f->guest.mmio.device), 1);
	close(fd);
}

static void lost_connections_are_told_and_nothing_is_sent_before_the_guest_knows(void **state)
{
	struct fixture *f = *state;
	struct test_ring events;
	uint32_t head, written, port, id = 77;
	int fd, client;
	struct vsock_header header;

	init_events(f, &events);
	fill_registers(f, &events);
	offer_rx(f, 16);
	fd = connect_from_host(f, &port);
	memset(test_memory(&events, EVENT_BUFFERS, 64), 0xff, 64);
	save_and_restore(f);
	close(fd);

	client = connect_to(f->path);
	assert_int_equal(write(client, "CONNECT 1024\n", 13), 13);
	test_guest_run_loop(&f->guest);
	test_guest_kick(&f->guest);
	assert_true(test_ring_take(&events, &head, &written));
	assert_int_equal(written, 4);
	memcpy(&id, test_memory(&events, EVENT_BUFFERS, 4), 4);
	assert_int_equal(id, VIRTIO_VSOCK_EVENT_TRANSPORT_RESET);
	/* The driver has to notify when it gives the buffer back, which is behind all that it had offered. */
	assert_int_equal(test_ring_avail_event(&events), N_EVENT_BUFFERS);
	expect_silence(f);

	test_ring_offer_chain(&events, &(struct test_segment) { EVENT_BUFFERS, 4, VRING_DESC_F_WRITE }, 1);
	test_guest_kick(&f->guest);
	expect_op(f, VIRTIO_VSOCK_OP_REQUEST, &header);
	assert_false(test_ring_take(&events, &head, &written)); /* once */
	close(client);
}

static void a_snapshot_between_reset_and_acknowledgement_tells_again(void **state)
{
	struct fixture *f = *state;
	struct test_ring events;
	uint32_t head, written, port;
	int fd;

	init_events(f, &events);
	fill_registers(f, &events);
	offer_rx(f, 16);
	fd = connect_from_host(f, &port);
	save_and_restore(f);
	test_guest_kick(&f->guest);
	assert_true(test_ring_take(&events, &head, &written));
	save_and_restore(f);
	test_guest_kick(&f->guest);
	assert_true(test_ring_take(&events, &head, &written));
	close(fd);
}

static void a_damaged_device_is_refused(void **state)
{
	static const struct {
		size_t offset;
		uint8_t value;
	} wrong[] = { { 0, 99 }, { 4, 7 }, { 28, 0x80 }, { 37, 0 }, { 38, 3 }, { 39, 0xff }, { 40, 1 }, { 47, 0xff } };
	struct fixture *f = *state;
	struct test_ring events;

	init_events(f, &events);
	fill_registers(f, &events);
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		const uint8_t id[SNAPSHOT_ID_SIZE] = { 1 };
		struct state_writer writer;
		struct state_reader reader;
		struct error err = { 0 };
		int fd = open(f->directory, O_TMPFILE | O_RDWR, 0600);
		char path[64];

		state_writer_init(&writer, id);
		virtio_mmio_save(&f->guest.mmio, 4, &writer);
		writer.data[52 + 12 + wrong[i].offset] = wrong[i].value; /* behind the headers of file and section */
		assert_int_equal(state_writer_finish(&writer, fd, &err), 0);
		state_writer_fini(&writer);
		snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
		assert_int_equal(state_reader_open(&reader, path, &err), 0);
		/* Queue 0 "not ready" is legal; everything else is not. */
		assert_int_equal(virtio_mmio_restore(&f->guest.mmio, 4, &reader, &err) < 0, wrong[i].offset != 37);
		state_reader_fini(&reader);
		close(fd);
		fill_registers(f, &events);
	}
}

static void a_live_listener_is_not_replaced_and_a_dead_one_is(void **state)
{
	struct fixture *f = *state;
	struct error err = { 0 };
	char dead[80];
	int fd;

	assert_true(vsock_host_listen(f->path, &err) < 0);
	assert_int_equal(err.code, EADDRINUSE);
	snprintf(dead, sizeof(dead), "%s/dead", f->directory);
	close(listen_at(dead));
	fd = vsock_host_listen(dead, &err);
	assert_true(fd >= 0);
	close(fd);
	unlink(dead);
}

static void a_path_that_leaves_no_room_for_ports_is_refused(void **state)
{
	char path[VSOCK_HOST_PATH_MAX + 2];
	struct error err = { 0 };

	(void)state;
	memset(path, 'x', sizeof(path) - 1);
	path[sizeof(path) - 1] = '\0';
	assert_true(vsock_host_listen(path, &err) < 0);
	assert_int_equal(err.code, ENAMETOOLONG);
}

static int parse(const char *line, uint32_t *port, size_t *size)
{
	return vsock_host_parse_greeting(line, strlen(line), port, size);
}

static void greetings_are_parsed_strictly(void **state)
{
	uint32_t port = 7;
	size_t size = 7;

	(void)state;
	assert_int_equal(parse("CONNECT 1024\n", &port, &size), 1);
	assert_int_equal(port, 1024);
	assert_int_equal(size, 13);
	assert_int_equal(parse("CONNECT 4294967295\nrest", &port, &size), 1);
	assert_int_equal(port, UINT32_MAX);
	assert_int_equal(size, 19);
	assert_int_equal(parse("", &port, &size), 0);
	assert_int_equal(parse("CON", &port, &size), 0);
	assert_int_equal(parse("CONNECT ", &port, &size), 0);
	assert_int_equal(parse("CONNECT 12", &port, &size), 0);
	assert_int_equal(parse("CONNECT\n", &port, &size), -EPROTO);
	assert_int_equal(parse("CONNECT \n", &port, &size), -EPROTO);
	assert_int_equal(parse("CONNECT  1\n", &port, &size), -EPROTO);
	assert_int_equal(parse("CONNECT 1\r\n", &port, &size), -EPROTO);
	assert_int_equal(parse("CONNECT 4294967296\n", &port, &size), -EPROTO);
	assert_int_equal(parse("CONNECT 99999999999999999999\n", &port, &size), -EPROTO);
	assert_int_equal(vsock_host_parse_greeting("CONNECT \0\n", 10, &port, &size), -EPROTO);
	assert_int_equal(parse("CONNECT 000000000000000000000000000000001\n", &port, &size), 1);
	assert_int_equal(vsock_host_parse_greeting("CONNECT 000000000000000000000000000000001\n", 32, &port, &size),
			 -EPROTO);
}

static void the_table_holds_1023_connections_and_finds_each(void **state)
{
	struct vsock_table table;
	struct vsock_connection *c, *kept = NULL;

	(void)state;
	assert_int_equal(vsock_table_init(&table), 0);
	for (uint32_t i = 0; i < VSOCK_CONNECTIONS_MAX; i++) {
		c = vsock_table_take(&table);
		assert_non_null(c);
		c->flow.host_port = 1000 + i;
		c->flow.guest_port = 5;
		vsock_table_index(&table, c);
		vsock_table_queue(&table, c);
		vsock_table_queue(&table, c); /* once is enough */
		if (i == 500)
			kept = c;
	}
	assert_null(vsock_table_take(&table));
	assert_ptr_equal(vsock_table_find(&table, 1500, 5), kept);
	assert_null(vsock_table_find(&table, 1500, 6));
	vsock_table_release(&table, kept);
	assert_null(vsock_table_find(&table, 1500, 5));
	assert_ptr_equal(vsock_table_take(&table), kept);
	for (uint32_t i = 0; i < VSOCK_CONNECTIONS_MAX - 1; i++)
		assert_non_null(vsock_table_dequeue(&table));
	assert_null(vsock_table_dequeue(&table));
	vsock_table_queue(&table, kept);
	assert_ptr_equal(vsock_table_dequeue(&table), kept);
	vsock_table_fini(&table);
}

static void a_released_connection_leaves_the_ready_list(void **state)
{
	struct vsock_table table;
	struct vsock_connection *a, *b, *c;

	(void)state;
	assert_int_equal(vsock_table_init(&table), 0);
	a = vsock_table_take(&table);
	b = vsock_table_take(&table);
	c = vsock_table_take(&table);
	vsock_table_queue(&table, a);
	vsock_table_queue(&table, b);
	vsock_table_queue(&table, c);
	vsock_table_release(&table, c);
	vsock_table_release(&table, a);
	vsock_table_queue(&table, b);
	assert_ptr_equal(vsock_table_dequeue(&table), b);
	assert_null(vsock_table_dequeue(&table));
	c = vsock_table_take(&table);
	vsock_table_queue(&table, c);
	assert_ptr_equal(vsock_table_dequeue(&table), c);
	vsock_table_fini(&table);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
		TEST(a_guest_talks_to_a_host_service),
		TEST(nobody_at_the_port_is_a_reset),
		TEST(a_client_connects_and_bytes_behind_its_line_belong_to_the_stream),
		TEST(a_guest_that_refuses_closes_the_client),
		TEST(clients_that_do_not_greet_properly_are_closed),
		TEST(a_client_that_does_not_greet_is_closed_in_time),
		TEST(before_the_driver_is_there_clients_are_closed),
		TEST(clients_get_different_ports),
		TEST(a_large_stream_to_the_guest_stops_at_its_credit),
		TEST(without_rx_buffers_data_waits_and_nothing_is_lost),
		TEST(a_slow_host_end_costs_the_guest_credit_not_bytes),
		TEST(more_than_our_window_is_a_reset),
		TEST(half_close_goes_through_in_both_directions),
		TEST(a_guest_that_closes_is_answered_by_a_reset),
		TEST(packets_of_no_connection_are_reset_and_resets_are_not),
		TEST(packets_between_other_cids_are_dropped),
		TEST(when_resets_pile_up_the_guest_must_take_them_first),
		TEST(a_header_that_is_cut_breaks_the_device),
		TEST(a_length_beyond_the_descriptors_breaks_the_device),
		TEST(a_huge_length_breaks_the_device),
		TEST(an_rx_buffer_without_room_breaks_the_device),
		TEST(a_reset_of_the_device_closes_all_and_it_works_again),
		TEST(a_restored_device_goes_on_where_it_was),
		TEST(lost_connections_are_told_and_nothing_is_sent_before_the_guest_knows),
		TEST(a_snapshot_between_reset_and_acknowledgement_tells_again),
		TEST(a_damaged_device_is_refused),
		TEST(a_live_listener_is_not_replaced_and_a_dead_one_is),
		TEST(a_path_that_leaves_no_room_for_ports_is_refused),
		cmocka_unit_test(greetings_are_parsed_strictly),
		cmocka_unit_test(the_table_holds_1023_connections_and_finds_each),
		cmocka_unit_test(a_released_connection_leaves_the_ready_list),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
