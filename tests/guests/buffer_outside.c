/* Offers virtio-rng a buffer where there are devices instead of memory. */
#include "guest.h"

static struct ring ring;

int main(void)
{
	uint64_t rng = virtio_find(VIRTIO_RNG);

	virtio_start(rng, 0, &ring);
	ring.descriptors[0] = (struct descriptor) { VIRTIO, 16, DESC_WRITE, 0 };
	ring_offer(&ring, 0);
	virtio_notify(rng, 0);
	wait_for_the_end();
	return 0;
}
