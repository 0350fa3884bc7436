/* Changes descriptors while the device works on them. The device may break for it. */
#include "tests/guests/guest.h"

enum { ROUNDS = 3000 };

static struct ring ring;
static uint8_t buffer[65536] __attribute__((aligned(4096)));

int main(void)
{
	const uint64_t rng = virtio_find(VIRTIO_RNG);

	virtio_start(rng, 0, &ring);
	for (unsigned round = 0; round < ROUNDS; round++) {
		while ((uint16_t)(ring.available.index - ring.used.index) >= RING_SIZE)
			__asm__ volatile("pause");
		virtio_race(rng, 0, &ring, buffer, 4096, DESC_WRITE);
	}
	print("raced\n");
	reset();
	wait_for_the_end();
	return 0;
}
