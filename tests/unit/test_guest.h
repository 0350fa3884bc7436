/*
 * A guest for a device with a queue in each direction: its memory, its driver's rings, and the event loop that the device
 * works in. No KVM: what the transport and the event loop would call is called from here.
 */
#ifndef HEARTH_TESTS_TEST_GUEST_H
#define HEARTH_TESTS_TEST_GUEST_H

#include "tests/unit/test_ring.h"
#include "vmm/event_loop.h"
#include "vmm/virtio/mmio.h"

#include <stdio.h>
#include <sys/eventfd.h>
#include <unistd.h>

enum {
	TEST_QUEUE_RX = 0,
	TEST_QUEUE_TX = 1,
	TEST_RX_BUFFERS = 0x100000, /* where they lie, a page each */
	TEST_TX_BUFFERS = 0x300000,
};

struct test_guest {
	struct guest_memory memory;
	struct event_loop loop;
	struct virtio_mmio mmio;
	struct test_ring rx, tx;
	uint16_t n_rx_offered;
	char broken[200]; /* what the driver did wrong, if it did */
};

static inline void test_guest_on_broken(void *opaque, const char *what)
{
	struct test_guest *guest = opaque;

	snprintf(guest->broken, sizeof(guest->broken), "%s", what);
}

static inline void test_guest_open(struct test_guest *guest)
{
	assert_int_equal(guest_memory_init(&guest->memory, TEST_MEMORY_SIZE), 0);
	assert_int_equal(event_loop_open(&guest->loop), 0);
}

/* Takes the device over. */
static inline void test_guest_attach(struct test_guest *guest, struct virtio_device *device)
{
	assert_non_null(device);
	virtio_mmio_init(&guest->mmio, device, &guest->memory, eventfd(0, EFD_NONBLOCK), eventfd(0, EFD_NONBLOCK),
			 test_guest_on_broken, guest);
}

/* The driver's part of a start-up, without the registers that test_virtio_mmio covers. */
static inline void test_guest_activate(struct test_guest *guest, uint16_t ring_size)
{
	struct virtio_device *device = guest->mmio.device;

	test_ring_init(&guest->rx, &guest->memory, 0x1000, ring_size);
	test_ring_init(&guest->tx, &guest->memory, 0x9000, ring_size);
	guest->n_rx_offered = 0;
	assert_int_equal(virtqueue_init(&device->queues[TEST_QUEUE_RX], &guest->memory, &guest->rx.setup, true), 0);
	assert_int_equal(virtqueue_init(&device->queues[TEST_QUEUE_TX], &guest->memory, &guest->tx.setup, true), 0);
	device->is_active = true;
}

static inline void test_guest_detach(struct test_guest *guest)
{
	virtio_mmio_fini(&guest->mmio);
	close(guest->mmio.kick_fd);
	close(guest->mmio.interrupt_fd);
}

static inline void test_guest_close(struct test_guest *guest)
{
	event_loop_close(&guest->loop);
	guest_memory_fini(&guest->memory);
}

static inline void test_guest_run_loop(struct test_guest *guest)
{
	for (int i = 0; i < 20; i++)
		event_loop_run_once(&guest->loop, 0);
}

static inline void test_guest_kick(struct test_guest *guest)
{
	/* As often as the device asks for it itself. */
	do {
		virtio_mmio_kicked(&guest->mmio, 0);
	} while (read(guest->mmio.kick_fd, &(uint64_t) { 0 }, 8) == 8);
	test_guest_run_loop(guest);
}

/* Makes `n` receive buffers of `size` bytes available, at most a page each, without telling the device. */
static inline void test_guest_offer_rx(struct test_guest *guest, unsigned n, uint32_t size)
{
	for (unsigned i = 0; i < n; i++) {
		const uint16_t slot = guest->n_rx_offered++ % guest->rx.setup.size;
		const struct test_segment segment = { TEST_RX_BUFFERS + slot * 0x1000ULL, size, VRING_DESC_F_WRITE };

		test_ring_offer_chain(&guest->rx, &segment, 1);
	}
}

#endif
