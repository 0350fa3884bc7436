/*
 * The driver's end of a split virtqueue in plain memory: offers chains, good and broken ones, and looks at what comes
 * back. Several rings can share one guest's memory.
 *
 * Layout, at `base`: descriptors, available ring at +0x2000, used ring at +0x3000. Buffers are the test's: addresses
 * from 0x10000 on are free.
 */
#ifndef HEARTH_TESTS_TEST_RING_H
#define HEARTH_TESTS_TEST_RING_H

#include "vmm/guest_memory.h"
#include "vmm/virtio/virtqueue.h"

#include <linux/virtio_ring.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

enum { TEST_MEMORY_SIZE = 4 << 20 };

struct test_ring {
	struct guest_memory *memory;
	struct virtqueue_setup setup;
	uint16_t next_descriptor; /* for test_ring_offer_chain() */
	uint16_t next_available;
	uint16_t next_used; /* for test_ring_take() */
};

struct test_segment {
	gpa_t address;
	uint32_t length;
	uint16_t flags; /* VRING_DESC_F_WRITE or 0 */
};

static inline void *test_memory(const struct test_ring *ring, gpa_t gpa, uint64_t length)
{
	void *host = guest_memory_get(ring->memory, gpa, length);

	assert_non_null(host);
	return host;
}

static inline void test_store_u16(const struct test_ring *ring, gpa_t gpa, uint16_t value)
{
	memcpy(test_memory(ring, gpa, 2), &value, 2);
}

static inline uint16_t test_load_u16(const struct test_ring *ring, gpa_t gpa)
{
	uint16_t value;

	memcpy(&value, test_memory(ring, gpa, 2), 2);
	return value;
}

static inline void test_ring_init(struct test_ring *ring, struct guest_memory *memory, gpa_t base, uint16_t size)
{
	*ring = (struct test_ring) { .memory = memory };
	ring->setup = (struct virtqueue_setup) {
		.size = size, .descriptors = base, .available = base + 0x2000, .used = base + 0x3000
	};
	memset(test_memory(ring, base, 0x4000), 0, 0x4000);
}

static inline void test_ring_set_descriptor(const struct test_ring *ring, uint16_t index, gpa_t address,
					    uint32_t length, uint16_t flags, uint16_t next)
{
	const struct vring_desc descriptor = { address, length, flags, next };

	memcpy(test_memory(ring, ring->setup.descriptors + 16ULL * index, 16), &descriptor, 16);
}

/* Makes a head available without looking at it. */
static inline void test_ring_offer_head(struct test_ring *ring, uint16_t head)
{
	const uint16_t slot = ring->next_available % ring->setup.size;

	test_store_u16(ring, ring->setup.available + 4 + 2ULL * slot, head);
	test_store_u16(ring, ring->setup.available + 2, ++ring->next_available);
}

/* Descriptors are taken in turns: offer no more than the ring holds at a time. Returns the head. */
static inline uint16_t test_ring_offer_chain(struct test_ring *ring, const struct test_segment *segments, unsigned n)
{
	const uint16_t head = ring->next_descriptor;

	for (unsigned i = 0; i < n; i++) {
		const uint16_t index = ring->next_descriptor;
		const uint16_t next = (uint16_t)((index + 1) % ring->setup.size);
		const uint16_t flags = (uint16_t)(segments[i].flags | (i + 1 < n ? VRING_DESC_F_NEXT : 0));

		test_ring_set_descriptor(ring, index, segments[i].address, segments[i].length, flags, next);
		ring->next_descriptor = next;
	}
	test_ring_offer_head(ring, head);
	return head;
}

/* The next used element, in order. False if the device has given nothing back. */
static inline bool test_ring_take(struct test_ring *ring, uint32_t *head, uint32_t *written)
{
	const gpa_t element = ring->setup.used + 4 + 8ULL * (ring->next_used % ring->setup.size);

	if (test_load_u16(ring, ring->setup.used + 2) == ring->next_used)
		return false;
	memcpy(head, test_memory(ring, element, 4), 4);
	memcpy(written, test_memory(ring, element + 4, 4), 4);
	ring->next_used++;
	return true;
}

static inline void test_ring_set_used_event(const struct test_ring *ring, uint16_t value)
{
	test_store_u16(ring, ring->setup.available + 4 + 2ULL * ring->setup.size, value);
}

static inline uint16_t test_ring_avail_event(const struct test_ring *ring)
{
	return test_load_u16(ring, ring->setup.used + 4 + 8ULL * ring->setup.size);
}

#endif
