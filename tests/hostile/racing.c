/*
 * Changes descriptors and rings while the device, a thread of its own, works on them: each value that it reads twice would
 * differ. The device may break for it.
 */
#include "tests/guests/guest.h"

enum { ROUNDS = 3000 };

static struct ring ring;
static uint8_t buffer[65536] __attribute__((aligned(4096)));

int main(void)
{
	const uint64_t rng = virtio_find(VIRTIO_RNG);

	virtio_start(rng, 0, &ring);
	for (unsigned round = 0; round < ROUNDS; round++) {
		volatile struct descriptor *d = ring.descriptors;

		while ((uint16_t)(ring.available.index - ring.used.index) >= RING_SIZE)
			__asm__ volatile("pause");
		for (unsigned i = 0; i < RING_SIZE; i++) {
			d[i].address = (uint64_t)buffer;
			d[i].length = 4096;
			d[i].flags = DESC_WRITE | (i + 1 < RING_SIZE ? DESC_NEXT : 0);
			d[i].next = (uint16_t)(i + 1);
		}
		ring_offer(&ring, 0);
		virtio_notify(rng, 0);
		for (unsigned i = 0; i < 50; i++) {
			d[i % RING_SIZE].length = i % 2 ? 0x8000000 : 4096;
			d[i % RING_SIZE].address = i % 3 ? (uint64_t)buffer : 0xfffffffffffff000;
			d[i % RING_SIZE].next = (uint16_t)(i % 2 ? 0xffff : 1);
			d[i % RING_SIZE].address = (uint64_t)buffer;
			d[i % RING_SIZE].length = 4096;
			d[i % RING_SIZE].next = (uint16_t)(i % RING_SIZE + 1);
		}
	}
	print("raced\n");
	reset();
	wait_for_the_end();
	return 0;
}
