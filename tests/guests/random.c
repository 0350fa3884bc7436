/* Gets random bytes, twice, and resets the device in between. */
#include "guest.h"

static struct ring ring;
static volatile uint64_t buffer[4];

static void fill(uint64_t rng)
{
	write32(rng + 0x70, 0); /* the rings are the device's until it is reset */
	for (unsigned i = 0; i < sizeof(ring) / sizeof(uint64_t); i++)
		((volatile uint64_t *)&ring)[i] = 0;
	virtio_start(rng, 0, &ring);
	ring.descriptors[0] = (struct descriptor) { (uint64_t)buffer, sizeof(buffer), DESC_WRITE, 0 };
	ring_offer(&ring, 0);
	virtio_notify(rng, 0);
	while (ring.used.index == 0)
		__asm__ volatile("pause");
	if (ring.used.ring[0].length != sizeof(buffer))
		fail("too few bytes");
}

int main(void)
{
	uint64_t rng = virtio_find(VIRTIO_RNG);
	uint64_t first;

	fill(rng);
	first = buffer[0];
	fill(rng);
	print(first != buffer[0] && buffer[1] != buffer[2] ? "random\n" : "not random\n");
	reset();
	wait_for_the_end();
	return 0;
}
