/*
 * The network device with a driver in plain memory on one side and a real socket on the other. No KVM: the test calls what
 * the transport and the event loop would call.
 */
#include "common/network_protocol.h"
#include "tests/unit/test_guest.h"
#include "vmm/virtio/net.h"
#include "vmm/virtio/net_checksum.h"

#include <errno.h>
#include <linux/virtio_net.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
	RING_SIZE = 128,
	HEADER_SIZE = 12,
	RX_BUFFER_SIZE = 1536, /* as Linux posts them */
	FRAME_SIZE = 1000,
};

struct fixture {
	struct test_guest guest;
	int network; /* the other end */
	uint8_t frame[NETWORK_FRAME_MAX + 100], received[NETWORK_FRAME_MAX + 100];
};

static void activate(struct fixture *f, bool can_merge)
{
	struct virtio_device *device = f->guest.mmio.device;

	test_guest_activate(&f->guest, RING_SIZE);
	device->driver_features = can_merge ? device->features : 1ULL << VIRTIO_NET_F_MAC;
}

static void create(struct fixture *f)
{
	struct error err = { 0 };
	struct virtio_device *device;
	int ends[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK, 0, ends), 0);
	f->network = ends[1];
	device = virtio_net_create(ends[0], &f->guest.loop, &err);
	test_guest_attach(&f->guest, device);
	assert_int_equal(virtio_net_start(device), 0);
}

static void destroy(struct fixture *f)
{
	test_guest_detach(&f->guest);
	if (f->network >= 0)
		close(f->network);
}

static int setup(void **state)
{
	static struct fixture f;

	memset(&f, 0, sizeof(f));
	for (unsigned i = 0; i < sizeof(f.frame); i++)
		f.frame[i] = (uint8_t)(i * 7 + i / 256);
	test_guest_open(&f.guest);
	create(&f);
	activate(&f, true);
	*state = &f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	destroy(f);
	test_guest_close(&f->guest);
	return 0;
}

static void offer_rx(struct fixture *f, unsigned n)
{
	test_guest_offer_rx(&f->guest, n, RX_BUFFER_SIZE);
}

/* The network's side sends the first `size` bytes of f->frame. */
static void send_to_guest(struct fixture *f, size_t size)
{
	assert_int_equal(send(f->network, f->frame, size, 0), size);
	test_guest_run_loop(&f->guest);
}

/* The next frame that the guest received, put together in f->received; 0 if there is none. */
static uint32_t take_frame(struct fixture *f, unsigned *n_buffers)
{
	uint32_t size = 0, head, written;
	uint16_t n = 1;

	for (uint16_t i = 0; i < n; i++) {
		const uint32_t skip = i == 0 ? HEADER_SIZE : 0;
		struct vring_desc d;

		if (!test_ring_take(&f->guest.rx, &head, &written)) {
			assert_int_equal(i, 0); /* all buffers of a frame come together */
			return 0;
		}
		memcpy(&d, test_memory(&f->guest.rx, f->guest.rx.setup.descriptors + 16ULL * head, 16), 16);
		assert_true(written <= d.len && written > skip);
		if (i == 0) {
			static const uint8_t none[10];

			assert_memory_equal(test_memory(&f->guest.rx, d.addr, 10), none, 10); /* no offload was done */
			n = test_load_u16(&f->guest.rx, d.addr + 10);
			assert_true(n > 0);
		}
		memcpy(f->received + size, test_memory(&f->guest.rx, d.addr + skip, written - skip), written - skip);
		size += written - skip;
	}
	*n_buffers = n;
	return size;
}

static void expect_frame(struct fixture *f, uint32_t size, unsigned n_buffers)
{
	unsigned n = 0;

	assert_int_equal(take_frame(f, &n), size);
	assert_int_equal(n, n_buffers);
	assert_memory_equal(f->received, f->frame, size);
}

static void expect_nothing(struct fixture *f)
{
	unsigned n;

	assert_int_equal(take_frame(f, &n), 0);
}

/* The guest sends a frame of `size` bytes, header and frame in two segments. */
static void offer_tx(struct fixture *f, uint32_t size)
{
	const struct test_segment segments[] = { { TEST_TX_BUFFERS, HEADER_SIZE, 0 },
						 { TEST_TX_BUFFERS + 0x1000, size, 0 } };

	memset(test_memory(&f->guest.tx, TEST_TX_BUFFERS, HEADER_SIZE), 0, HEADER_SIZE);
	if (size)
		memcpy(test_memory(&f->guest.tx, TEST_TX_BUFFERS + 0x1000, size), f->frame, size);
	test_ring_offer_chain(&f->guest.tx, segments, size ? 2 : 1);
}

static unsigned n_given_back(struct fixture *f)
{
	uint32_t head, written = 0;
	unsigned n = 0;

	for (; test_ring_take(&f->guest.tx, &head, &written); n++)
		assert_int_equal(written, 0);
	return n;
}

/* The bytes that the network's side receives; negative if there is nothing. */
static ssize_t receive(struct fixture *f)
{
	return recv(f->network, f->received, sizeof(f->received), 0);
}

static void interrupts(struct fixture *f, bool expected)
{
	uint64_t count;

	assert_int_equal(read(f->guest.mmio.interrupt_fd, &count, 8) == 8, expected);
}

static void the_address_and_the_mtu_are_in_the_registers(void **state)
{
	struct fixture *f = *state;
	uint8_t mac[6];
	uint16_t mtu;

	for (unsigned i = 0; i < 6; i++)
		virtio_mmio_access(&f->guest.mmio, 0x100 + i, &mac[i], 1, false);
	virtio_mmio_access(&f->guest.mmio, 0x10a, (uint8_t *)&mtu, 2, false);
	assert_memory_equal(mac, "\x02\x00\x00\x00\x00\x02", 6);
	assert_int_equal(mtu, 65520);
}

static void a_frame_of_the_guest_is_a_message(void **state)
{
	struct fixture *f = *state;

	offer_tx(f, FRAME_SIZE);
	offer_tx(f, NETWORK_FRAME_MIN);
	offer_tx(f, NETWORK_FRAME_MAX);
	test_guest_kick(&f->guest);
	assert_int_equal(n_given_back(f), 3);
	interrupts(f, true);
	/* They lie in the same buffer: each was sent as it was when it was offered but for its length. */
	assert_int_equal(receive(f), FRAME_SIZE);
	assert_memory_equal(f->received, f->frame, FRAME_SIZE);
	assert_int_equal(receive(f), NETWORK_FRAME_MIN);
	assert_int_equal(receive(f), NETWORK_FRAME_MAX);
	assert_memory_equal(f->received, f->frame, NETWORK_FRAME_MAX);
	assert_int_equal(receive(f), -1);
}

/* As RFC 1071 defines it, a byte at a time. */
static uint16_t checksum_of(const uint8_t *bytes, size_t size)
{
	uint32_t sum = 0;

	for (size_t i = 0; i < size; i++) {
		sum += i % 2 ? bytes[i] : (uint32_t)bytes[i] << 8;
		sum = (sum & 0xffff) + (sum >> 16);
	}
	return (uint16_t)~sum;
}

static void a_checksum_is_right_for_any_length_and_place(void **state)
{
	struct fixture *f = *state;

	for (size_t length = 2; length < 80; length++) {
		for (size_t start = 0; start + 2 <= length; start++) {
			const size_t offset = (length - start - 2) / 2 * 2;
			uint8_t frame[80], *place = frame + start + offset;
			uint16_t expected;

			memcpy(frame, f->frame + length, length);
			expected = checksum_of(frame + start, length - start);
			assert_true(net_checksum_complete(frame, length, start, offset));
			assert_int_equal(place[0] << 8 | place[1], expected ? expected : 0xffff);
			memcpy(place, f->frame + length + start + offset, 2);
			assert_memory_equal(frame, f->frame + length, length);
		}
	}
	memset(f->frame, 0xff, 20);
	assert_true(net_checksum_complete(f->frame, 20, 0, 6)); /* 0 is said as ffff */
	assert_int_equal(f->frame[6] << 8 | f->frame[7], 0xffff);
}

static void offer_unfinished(struct fixture *f, uint32_t size, uint16_t start, uint16_t offset)
{
	const struct virtio_net_hdr_v1 header = { .flags = VIRTIO_NET_HDR_F_NEEDS_CSUM,
						  .csum_start = start,
						  .csum_offset = offset };

	offer_tx(f, size);
	memcpy(test_memory(&f->guest.tx, TEST_TX_BUFFERS, HEADER_SIZE), &header, HEADER_SIZE);
}

static void a_checksum_that_was_left_to_the_device_is_completed(void **state)
{
	static const uint32_t sizes[] = { FRAME_SIZE, FRAME_SIZE + 1, NETWORK_FRAME_MAX };
	struct fixture *f = *state;

	for (unsigned i = 0; i < 3; i++) {
		const uint16_t expected = checksum_of(f->frame + 34, sizes[i] - 34);

		offer_unfinished(f, sizes[i], 34, 6);
		test_guest_kick(&f->guest);
		assert_int_equal(receive(f), sizes[i]);
		assert_int_equal(f->received[40] << 8 | f->received[41], expected);
		memcpy(f->received + 40, f->frame + 40, 2);
		assert_memory_equal(f->received, f->frame, sizes[i]);
	}
}

static void a_checksum_that_has_no_place_drops_the_frame(void **state)
{
	static const uint16_t places[][2] = { { FRAME_SIZE, 0 },  { FRAME_SIZE - 1, 0 }, { 0, FRAME_SIZE - 1 },
					      { 0xffff, 0xffff }, { 34, 0xffff },        { 0xffff, 0 } };
	struct fixture *f = *state;

	for (unsigned i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
		offer_unfinished(f, FRAME_SIZE, places[i][0], places[i][1]);
		test_guest_kick(&f->guest);
		assert_int_equal(n_given_back(f), 1);
		assert_int_equal(receive(f), -1);
	}
	offer_unfinished(f, FRAME_SIZE, FRAME_SIZE - 2, 0);
	test_guest_kick(&f->guest);
	assert_int_equal(receive(f), FRAME_SIZE);
	assert_string_equal(f->guest.broken, "");
}

static void frames_of_a_forbidden_length_are_dropped(void **state)
{
	struct fixture *f = *state;
	static const uint32_t lengths[] = { 0, 1, NETWORK_FRAME_MIN - 1, NETWORK_FRAME_MAX + 1, 70000, 1 << 20 };

	for (unsigned i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++) {
		const struct test_segment segments[] = { { TEST_TX_BUFFERS, HEADER_SIZE, 0 },
							 { TEST_RX_BUFFERS, lengths[i], 0 } };

		test_ring_offer_chain(&f->guest.tx, segments, lengths[i] ? 2 : 1);
	}
	offer_tx(f, FRAME_SIZE);
	test_guest_kick(&f->guest);
	assert_int_equal(n_given_back(f), 7);
	assert_int_equal(receive(f), FRAME_SIZE);
	assert_int_equal(receive(f), -1);
	assert_string_equal(f->guest.broken, "");
}

static void a_chain_that_no_driver_makes_breaks_the_device(void **state)
{
	static const struct {
		struct test_segment segments[2];
		unsigned n;
	} chains[] = {
		{ { { TEST_TX_BUFFERS, HEADER_SIZE - 1, 0 } }, 1 },
		{ { { TEST_TX_BUFFERS, FRAME_SIZE, VRING_DESC_F_WRITE } }, 1 },
		{ { { TEST_TX_BUFFERS, FRAME_SIZE, 0 }, { TEST_TX_BUFFERS + 0x1000, 16, VRING_DESC_F_WRITE } }, 2 },
	};
	struct fixture *f = *state;

	for (unsigned i = 0; i < sizeof(chains) / sizeof(chains[0]); i++) {
		activate(f, true);
		*f->guest.broken = '\0';
		test_ring_offer_chain(&f->guest.tx, chains[i].segments, chains[i].n);
		test_guest_kick(&f->guest);
		assert_string_equal(
			f->guest.broken,
			"net: the driver broke queue 1: a frame that is writable or shorter than its header");
		assert_false(f->guest.mmio.device->is_active);
		assert_int_equal(receive(f), -1);
	}
}

static void a_receive_buffer_that_no_driver_makes_breaks_the_device(void **state)
{
	static const struct test_segment segments[] = { { TEST_RX_BUFFERS, HEADER_SIZE, VRING_DESC_F_WRITE },
							{ TEST_RX_BUFFERS, RX_BUFFER_SIZE, 0 } };
	struct fixture *f = *state;

	for (unsigned i = 0; i < 2; i++) {
		activate(f, true);
		*f->guest.broken = '\0';
		test_ring_offer_chain(&f->guest.rx, &segments[i], 1);
		send_to_guest(f, FRAME_SIZE);
		assert_string_equal(
			f->guest.broken,
			"net: the driver broke queue 0: a buffer that is readable or too small for a header");
	}
}

/* The first buffer of a frame may be good and the next one not: nothing of the frame is given back. */
static void a_bad_buffer_in_the_middle_of_a_frame_breaks_the_device(void **state)
{
	struct fixture *f = *state;

	offer_rx(f, 2);
	test_ring_offer_head(&f->guest.rx, 500);
	send_to_guest(f, 5000);
	assert_string_equal(f->guest.broken, "net: the driver broke queue 0: a descriptor index beyond the table");
	expect_nothing(f);
}

static void a_message_is_a_frame_for_the_guest(void **state)
{
	struct fixture *f = *state;

	offer_rx(f, RING_SIZE);
	test_guest_kick(&f->guest);
	interrupts(f, false);
	send_to_guest(f, FRAME_SIZE);
	interrupts(f, true);
	expect_frame(f, FRAME_SIZE, 1);
	send_to_guest(f, NETWORK_FRAME_MIN);
	expect_frame(f, NETWORK_FRAME_MIN, 1);
	send_to_guest(f, RX_BUFFER_SIZE - HEADER_SIZE);
	expect_frame(f, RX_BUFFER_SIZE - HEADER_SIZE, 1);
	send_to_guest(f, RX_BUFFER_SIZE - HEADER_SIZE + 1);
	expect_frame(f, RX_BUFFER_SIZE - HEADER_SIZE + 1, 2);
	send_to_guest(f, NETWORK_FRAME_MAX);
	expect_frame(f, NETWORK_FRAME_MAX, (NETWORK_FRAME_MAX + HEADER_SIZE + RX_BUFFER_SIZE - 1) / RX_BUFFER_SIZE);
	expect_nothing(f);
}

static void messages_of_a_forbidden_length_are_dropped(void **state)
{
	struct fixture *f = *state;

	offer_rx(f, RING_SIZE);
	send_to_guest(f, 1);
	send_to_guest(f, NETWORK_FRAME_MIN - 1);
	send_to_guest(f, NETWORK_FRAME_MAX + 1);
	send_to_guest(f, NETWORK_FRAME_MAX + 2);
	send_to_guest(f, FRAME_SIZE);
	expect_frame(f, FRAME_SIZE, 1);
	expect_nothing(f);
}

static void frames_wait_for_buffers_in_their_order(void **state)
{
	struct fixture *f = *state;

	send_to_guest(f, FRAME_SIZE);
	send_to_guest(f, FRAME_SIZE + 1);
	send_to_guest(f, FRAME_SIZE + 2);
	expect_nothing(f);
	offer_rx(f, 1);
	test_guest_kick(&f->guest);
	expect_frame(f, FRAME_SIZE, 1);
	expect_nothing(f);
	offer_rx(f, 2);
	test_guest_kick(&f->guest);
	expect_frame(f, FRAME_SIZE + 1, 1);
	expect_frame(f, FRAME_SIZE + 2, 1);
}

/* Its buffers come one after the other, and the driver must be asked to tell of each. */
static void a_long_frame_waits_for_all_of_its_buffers(void **state)
{
	struct fixture *f = *state;

	offer_rx(f, 2);
	send_to_guest(f, 4 * RX_BUFFER_SIZE - HEADER_SIZE);
	expect_nothing(f);
	assert_int_equal(test_ring_avail_event(&f->guest.rx), 2);
	offer_rx(f, 1);
	test_guest_kick(&f->guest);
	expect_nothing(f);
	assert_int_equal(test_ring_avail_event(&f->guest.rx), 3);
	offer_rx(f, 1);
	test_guest_kick(&f->guest);
	expect_frame(f, 4 * RX_BUFFER_SIZE - HEADER_SIZE, 4);
}

/* Else the queue would stand still for ever. */
static void a_frame_that_cannot_fit_is_dropped(void **state)
{
	struct fixture *f = *state;

	activate(f, false); /* a buffer a frame */
	offer_rx(f, 2);
	send_to_guest(f, RX_BUFFER_SIZE);
	send_to_guest(f, FRAME_SIZE);
	expect_frame(f, FRAME_SIZE, 1);
	expect_nothing(f);

	activate(f, true);
	for (unsigned i = 0; i < RING_SIZE; i++) {
		const struct test_segment segment = { TEST_RX_BUFFERS + i * 0x1000ULL, 100, VRING_DESC_F_WRITE };

		test_ring_offer_chain(&f->guest.rx, &segment, 1);
	}
	send_to_guest(f, 20000);
	send_to_guest(f, FRAME_SIZE);
	expect_frame(f, FRAME_SIZE, 11);
}

static void a_full_socket_stops_the_queue_and_loses_nothing(void **state)
{
	struct fixture *f = *state;
	unsigned n_sent = 0, n_received = 0;

	for (unsigned i = 0; i < 20; i++) {
		offer_tx(f, 60000);
		test_guest_kick(&f->guest);
		n_sent += n_given_back(f);
	}
	assert_true(n_sent > 0 && n_sent < 20);
	assert_int_equal(f->guest.tx.next_available, 20);
	while (receive(f) == 60000) {
		n_received++;
		test_guest_run_loop(&f->guest);
		test_guest_kick(&f->guest);
		n_sent += n_given_back(f);
	}
	assert_int_equal(n_sent, 20);
	assert_int_equal(n_received, 20);
}

static void a_pulled_cable_drops_frames_and_the_guest_goes_on(void **state)
{
	struct fixture *f = *state;

	offer_rx(f, 8);
	send_to_guest(f, FRAME_SIZE);
	close(f->network);
	f->network = -1;
	test_guest_run_loop(&f->guest);
	expect_frame(f, FRAME_SIZE, 1);
	for (unsigned i = 0; i < 3; i++) {
		offer_tx(f, FRAME_SIZE);
		test_guest_kick(&f->guest);
		assert_int_equal(n_given_back(f), 1);
	}
	assert_int_equal(event_loop_run_once(&f->guest.loop, 0), 0);
	expect_nothing(f);
	assert_string_equal(f->guest.broken, "");
}

/* Its end comes while the queue stands still: what waits is dropped, or the guest would wait for ever. */
static void a_cable_that_is_pulled_while_the_socket_is_full(void **state)
{
	struct fixture *f = *state;
	unsigned n = 0;

	for (unsigned i = 0; i < 20; i++)
		offer_tx(f, 60000);
	test_guest_kick(&f->guest);
	n += n_given_back(f);
	assert_true(n < 20);
	close(f->network);
	f->network = -1;
	test_guest_run_loop(&f->guest);
	test_guest_kick(&f->guest);
	assert_int_equal(n + n_given_back(f), 20);
}

static void one_pass_is_bounded(void **state)
{
	struct fixture *f = *state;
	unsigned n = 0;

	for (unsigned i = 0; i < RING_SIZE; i++) {
		const struct test_segment segment = { TEST_TX_BUFFERS, HEADER_SIZE + NETWORK_FRAME_MIN, 0 };

		test_ring_offer_chain(&f->guest.tx, &segment, 1);
	}
	virtio_mmio_kicked(&f->guest.mmio, 0);
	n = n_given_back(f);
	assert_true(n > 0 && n < RING_SIZE);
	test_guest_kick(&f->guest); /* it has asked for another turn */
	assert_int_equal(n + n_given_back(f), RING_SIZE);
}

static void a_reset_forgets_the_frame_that_waits(void **state)
{
	struct fixture *f = *state;
	uint8_t zero[4] = { 0 };

	send_to_guest(f, FRAME_SIZE);
	virtio_mmio_access(&f->guest.mmio, 0x70, zero, 4, true);
	assert_false(f->guest.mmio.device->is_active);
	send_to_guest(f, FRAME_SIZE + 1);
	activate(f, true);
	offer_rx(f, 4);
	test_guest_kick(&f->guest);
	expect_frame(f, FRAME_SIZE + 1, 1);
	expect_nothing(f);
}

static void save(struct fixture *f, struct state_writer *writer)
{
	static const uint8_t id[SNAPSHOT_ID_SIZE];

	state_writer_init(writer, id);
	virtio_mmio_save(&f->guest.mmio, 0, writer);
}

/* Sets the registers as a driver does, so that there is something to restore. */
static void activate_by_registers(struct fixture *f)
{
	struct virtio_mmio *mmio = &f->guest.mmio;

	mmio->status = 0xf;
	mmio->driver_features = f->guest.mmio.device->features | 1ULL << 32 | 1ULL << 29;
	for (unsigned i = 0; i < 2; i++) {
		mmio->queues[i].setup = i == TEST_QUEUE_RX ? f->guest.rx.setup : f->guest.tx.setup;
		mmio->queues[i].ready = true;
	}
}

static struct state_reader reader_of(struct state_writer *writer)
{
	struct error err = { 0 };
	struct state_reader reader;
	FILE *file = tmpfile();
	uint8_t *data;
	long size;

	assert_int_equal(state_writer_finish(writer, fileno(file), &err), 0);
	state_writer_fini(writer);
	fseek(file, 0, SEEK_END);
	size = ftell(file);
	rewind(file);
	data = malloc((size_t)size);
	assert_int_equal(fread(data, 1, (size_t)size, file), size);
	fclose(file);
	assert_int_equal(state_reader_init(&reader, data, (size_t)size, &err), 0);
	return reader;
}

static void a_copy_goes_on_with_another_socket(void **state)
{
	struct fixture *f = *state;
	struct state_writer writer;
	struct state_reader reader;
	struct error err = { 0 };

	offer_rx(f, 8);
	test_guest_kick(&f->guest);
	send_to_guest(f, FRAME_SIZE);
	expect_frame(f, FRAME_SIZE, 1);
	activate_by_registers(f);
	offer_tx(f, FRAME_SIZE); /* asked for, not yet done */
	save(f, &writer);
	destroy(f);

	reader = reader_of(&writer);
	create(f);
	assert_int_equal(virtio_mmio_restore(&f->guest.mmio, 0, &reader, &err), 0);
	assert_int_equal(state_reader_finish(&reader, &err), 0);
	state_reader_fini(&reader);
	virtio_mmio_restored(&f->guest.mmio);
	test_guest_kick(&f->guest);
	assert_int_equal(receive(f), FRAME_SIZE);
	send_to_guest(f, 2 * RX_BUFFER_SIZE);
	expect_frame(f, 2 * RX_BUFFER_SIZE, 3); /* merging was negotiated, and still is */
}

static void a_snapshot_of_another_network_is_foreign(void **state)
{
	struct fixture *f = *state;
	struct state_writer writer;
	struct state_reader reader;
	struct error err = { 0 };

	activate_by_registers(f);
	((struct virtio_net_config *)(uintptr_t)f->guest.mmio.device->config)->mtu = 1500;
	save(f, &writer);
	destroy(f);
	reader = reader_of(&writer);
	create(f);
	assert_int_equal(virtio_mmio_restore(&f->guest.mmio, 0, &reader, &err), -EINVAL);
	assert_string_equal(err.text, "foreign: its network device has another address or an MTU of 1500, not 65520");
	state_reader_fini(&reader);
}

/* Of a device that was saved between FEATURES_OK and DRIVER_OK: the driver takes the last step after the restore. */
static void what_no_driver_can_have_set_is_refused_before_it_counts(void **state)
{
	static const struct {
		uint16_t size;
		uint64_t features;
		bool is_possible;
	} cases[] = {
		{ 128, 0, true },
		{ 256, 0, false }, /* more than the device takes */
		{ 96, 0, false },
		{ 128, 1ULL << 40, false }, /* was not offered */
	};
	struct fixture *f = *state;

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct virtio_mmio *mmio = &f->guest.mmio;
		struct state_writer writer;
		struct state_reader reader;
		struct error err = { 0 };

		activate_by_registers(f);
		mmio->status = 0xb;
		mmio->device->is_active = false;
		mmio->queues[TEST_QUEUE_RX].setup.size = cases[i].size;
		mmio->driver_features |= cases[i].features;
		save(f, &writer);
		destroy(f);
		reader = reader_of(&writer);
		create(f);
		assert_int_equal(virtio_mmio_restore(mmio, 0, &reader, &err), cases[i].is_possible ? 0 : -EINVAL);
		state_reader_fini(&reader);
	}
}

static void only_a_socket_of_messages_will_do(void **state)
{
	struct error err = { 0 };
	int ends[2];
	char text[80];

	(void)state;
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
	assert_null(virtio_net_create(ends[0], NULL, &err));
	snprintf(text, sizeof(text), "--net %d: not an inherited socket of type SOCK_SEQPACKET", ends[0]);
	assert_string_equal(err.text, text);
	close(ends[0]);
	close(ends[1]);
	assert_null(virtio_net_create(ends[0], NULL, &err));
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(the_address_and_the_mtu_are_in_the_registers),
		TEST(a_frame_of_the_guest_is_a_message),
		TEST(a_checksum_is_right_for_any_length_and_place),
		TEST(a_checksum_that_was_left_to_the_device_is_completed),
		TEST(a_checksum_that_has_no_place_drops_the_frame),
		TEST(frames_of_a_forbidden_length_are_dropped),
		TEST(a_chain_that_no_driver_makes_breaks_the_device),
		TEST(a_receive_buffer_that_no_driver_makes_breaks_the_device),
		TEST(a_bad_buffer_in_the_middle_of_a_frame_breaks_the_device),
		TEST(a_message_is_a_frame_for_the_guest),
		TEST(messages_of_a_forbidden_length_are_dropped),
		TEST(frames_wait_for_buffers_in_their_order),
		TEST(a_long_frame_waits_for_all_of_its_buffers),
		TEST(a_frame_that_cannot_fit_is_dropped),
		TEST(a_full_socket_stops_the_queue_and_loses_nothing),
		TEST(a_pulled_cable_drops_frames_and_the_guest_goes_on),
		TEST(a_cable_that_is_pulled_while_the_socket_is_full),
		TEST(one_pass_is_bounded),
		TEST(a_reset_forgets_the_frame_that_waits),
		TEST(a_copy_goes_on_with_another_socket),
		TEST(a_snapshot_of_another_network_is_foreign),
		TEST(what_no_driver_can_have_set_is_refused_before_it_counts),
		cmocka_unit_test(only_a_socket_of_messages_will_do),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
