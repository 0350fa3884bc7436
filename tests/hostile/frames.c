/*
 * A network without manners: frames of no length and of far too much, headers full of offloads that were not negotiated,
 * receive buffers of a few bytes, a driver that starts over at any moment, and at last descriptors that change while the
 * device reads them. A length is no error of the ring, so the device goes on; for the race it may break.
 */
#include "tests/guests/guest.h"

enum { MERGE = 1 << 15, HEADER = 12, BUFFER = 1 << 20, ROUNDS = 400, RACES = 3000 };

static const uint32_t lengths[] = { 0, 1, 13, 14, 15, 1514, 4096, 65533, 65534, 65535, 65536, 70000, BUFFER - HEADER };

static struct ring sent, received;
static uint8_t buffer[BUFFER] __attribute__((aligned(4096)));
static uint8_t room[RING_SIZE][2048] __attribute__((aligned(4096)));
static uint64_t device;
static uint16_t n_taken;
static uint64_t state = 0x853c49e6748fea9b;

static uint32_t any(uint32_t n)
{
	state = state * 6364136223846793005ULL + 1442695040888963407ULL;
	return (uint32_t)(state >> 33) % n;
}

static void clear(struct ring *ring)
{
	volatile uint8_t *bytes = (volatile uint8_t *)ring;

	for (unsigned i = 0; i < sizeof(*ring); i++)
		bytes[i] = 0;
}

/* With buffers that are merged, or without; as small as they may be, and a little larger. */
static void start(uint32_t features)
{
	write32(device + 0x70, 0); /* the rings are the device's until it is reset */
	n_taken = 0;
	clear(&sent);
	clear(&received);
	virtio_negotiate(device, features);
	virtio_set_queue(device, 0, (uint64_t)received.descriptors, (uint64_t)&received.available,
			 (uint64_t)&received.used);
	virtio_set_queue(device, 1, (uint64_t)sent.descriptors, (uint64_t)&sent.available, (uint64_t)&sent.used);
	write32(device + 0x70, 0xf);
	if (read32(device + 0x70) != 0xf)
		fail("the device did not start");
	for (unsigned i = 0; i < RING_SIZE; i++) {
		received.descriptors[i] =
			(struct descriptor) { (uint64_t)room[i], HEADER + 1 + any(2000), DESC_WRITE, 0 };
		ring_offer(&received, (uint16_t)i);
	}
	virtio_notify(device, 0);
}

/* Gives used receive buffers back at once, so that what comes in does not stop. */
static void take(void)
{
	while (n_taken != received.used.index)
		ring_offer(&received, (uint16_t)received.used.ring[n_taken++ % RING_SIZE].id);
	virtio_notify(device, 0);
}

static void send(uint32_t length)
{
	const uint16_t before = sent.used.index;

	for (unsigned i = 0; i < HEADER + 20; i++)
		buffer[i] = (uint8_t)any(256);
	sent.descriptors[0] = (struct descriptor) { (uint64_t)buffer, HEADER + length, 0, 0 };
	ring_offer(&sent, 0);
	virtio_notify(device, 1);
	while (sent.used.index == before) {
		take();
		__asm__ volatile("pause");
	}
	take();
}

static void race(void)
{
	for (unsigned round = 0; round < RACES; round++) {
		while ((uint16_t)(sent.available.index - sent.used.index) >= RING_SIZE)
			take();
		virtio_race(device, 1, &sent, buffer, 1000, 0);
	}
}

int main(void)
{
	device = virtio_find(VIRTIO_NET);
	for (unsigned merge = 0; merge < 2; merge++) {
		start(merge ? MERGE : 0);
		for (unsigned i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++)
			send(lengths[i]);
	}
	for (unsigned i = 0; i < ROUNDS; i++) {
		if (any(20) == 0)
			start(any(2) ? MERGE : 0);
		send(any(4) ? any(3000) : any(100000));
	}
	print("all frames\n");
	start(MERGE);
	race();
	print("raced\n");
	reset();
	wait_for_the_end();
	return 0;
}
