/*
 * What the test guests need of a kernel: ports, device registers, a console, and a virtio device brought up by hand. Each
 * guest shows one ending of a VM; the addresses are docs/vmm.md's machine.
 */
#ifndef HEARTH_TESTS_GUEST_H
#define HEARTH_TESTS_GUEST_H

#include <stdint.h>

#define SERIAL       0xd0000000UL
#define PVPANIC      0xd0001000UL
#define VIRTIO       0xd0010000UL
#define VIRTIO_COUNT 16

enum { VIRTIO_NET = 1, VIRTIO_BLK = 2, VIRTIO_RNG = 4, VIRTIO_VSOCK = 19 };
enum { RING_SIZE = 8, DESC_NEXT = 1, DESC_WRITE = 2 };

int main(void);

static inline void outb(uint16_t port, uint8_t value)
{
	__asm__ volatile("outb %0, %1" : : "a"(value), "Nd"(port));
}

static inline uint8_t inb(uint16_t port)
{
	uint8_t value;

	__asm__ volatile("inb %1, %0" : "=a"(value) : "Nd"(port));
	return value;
}

static inline void write8(uint64_t address, uint8_t value)
{
	*(volatile uint8_t *)address = value;
}

static inline void write32(uint64_t address, uint32_t value)
{
	*(volatile uint32_t *)address = value;
}

static inline uint32_t read32(uint64_t address)
{
	return *(volatile uint32_t *)address;
}

static inline void print(const char *text)
{
	while (*text)
		write8(SERIAL, (uint8_t)*text++);
}

static inline void reset(void)
{
	outb(0x64, 0xfe);
}

/* Ends the VM as a failed test: nobody expects this text. */
static inline void fail(const char *why)
{
	print("guest failed: ");
	print(why);
	print("\n");
	reset();
	for (;;)
		__asm__ volatile("hlt");
}

struct descriptor {
	uint64_t address;
	uint32_t length;
	uint16_t flags, next;
};

/* One queue and its rings, in the guest's memory. */
struct ring {
	struct descriptor descriptors[RING_SIZE];
	struct {
		volatile uint16_t flags, index, ring[RING_SIZE], used_event;
	} available;
	struct {
		volatile uint16_t flags, index;
		struct {
			volatile uint32_t id, length;
		} ring[RING_SIZE];
		volatile uint16_t avail_event;
	} used __attribute__((aligned(4)));
} __attribute__((aligned(4096)));

/* The register window of the first device with this id. */
static inline uint64_t virtio_find(uint32_t id)
{
	for (uint64_t base = VIRTIO; base < VIRTIO + VIRTIO_COUNT * 0x1000; base += 0x1000)
		if (read32(base) == 0x74726976 && read32(base + 8) == id)
			return base;
	fail("no such virtio device");
	return 0;
}

static inline void virtio_set_queue(uint64_t base, uint32_t queue, uint64_t descriptors, uint64_t available,
				    uint64_t used)
{
	write32(base + 0x30, queue);
	write32(base + 0x38, RING_SIZE);
	write32(base + 0x80, (uint32_t)descriptors);
	write32(base + 0x84, (uint32_t)(descriptors >> 32));
	write32(base + 0x90, (uint32_t)available);
	write32(base + 0x94, (uint32_t)(available >> 32));
	write32(base + 0xa0, (uint32_t)used);
	write32(base + 0xa4, (uint32_t)(used >> 32));
	write32(base + 0x44, 1);
}

/* Up to FEATURES_OK, with VERSION_1 and those of the lower 32 bits. */
static inline void virtio_negotiate(uint64_t base, uint32_t features)
{
	write32(base + 0x70, 0);
	write32(base + 0x70, 1);
	write32(base + 0x70, 3);
	write32(base + 0x24, 0);
	write32(base + 0x20, features);
	write32(base + 0x24, 1);
	write32(base + 0x20, 1);
	write32(base + 0x70, 0xb);
	if (read32(base + 0x70) != 0xb)
		fail("features were refused");
}

/* All the way, with `ring` as its queue. */
static inline void virtio_start(uint64_t base, uint32_t queue, struct ring *ring)
{
	virtio_negotiate(base, 0);
	virtio_set_queue(base, queue, (uint64_t)ring->descriptors, (uint64_t)&ring->available, (uint64_t)&ring->used);
	write32(base + 0x70, 0xf);
	if (read32(base + 0x70) != 0xf)
		fail("the device did not start");
}

static inline void ring_offer(struct ring *ring, uint16_t head)
{
	ring->available.ring[ring->available.index % RING_SIZE] = head;
	__asm__ volatile("mfence" : : : "memory");
	ring->available.index++;
}

static inline void virtio_notify(uint64_t base, uint32_t queue)
{
	__asm__ volatile("mfence" : : : "memory");
	write32(base + 0x50, queue);
}

/*
 * Offers one chain of all descriptors, each of `length` bytes of `buffer`, and changes them while the device, a thread
 * of its own, works on them: each value that it reads twice would differ. In the end they are as they were.
 */
static inline void virtio_race(uint64_t base, uint32_t queue, struct ring *ring, const void *buffer, uint32_t length,
			       uint16_t flags)
{
	volatile struct descriptor *d = ring->descriptors;

	for (unsigned i = 0; i < RING_SIZE; i++) {
		d[i].address = (uint64_t)buffer;
		d[i].length = length;
		d[i].flags = (uint16_t)(flags | (i + 1 < RING_SIZE ? DESC_NEXT : 0));
		d[i].next = (uint16_t)(i + 1);
	}
	ring_offer(ring, 0);
	virtio_notify(base, queue);
	for (unsigned i = 0; i < 50; i++) {
		d[i % RING_SIZE].length = i % 2 ? 0x8000000 : length;
		d[i % RING_SIZE].address = i % 3 ? (uint64_t)buffer : 0xfffffffffffff000;
		d[i % RING_SIZE].next = (uint16_t)(i % 2 ? 0xffff : 1);
		d[i % RING_SIZE].address = (uint64_t)buffer;
		d[i % RING_SIZE].length = length;
		d[i % RING_SIZE].next = (uint16_t)(i % RING_SIZE + 1);
	}
}

/* For a guest that expects to be ended by what it just did. */
static inline void wait_for_the_end(void)
{
	for (;;)
		__asm__ volatile("pause");
}

#endif
