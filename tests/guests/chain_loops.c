/* Offers virtio-rng a chain that points to itself. */
#include "guest.h"

static struct ring ring;
static uint8_t buffer[16];

int main(void)
{
	uint64_t rng = virtio_find(VIRTIO_RNG);

	virtio_start(rng, 0, &ring);
	ring.descriptors[0] = (struct descriptor) { (uint64_t)buffer, sizeof(buffer), DESC_WRITE | DESC_NEXT, 0 };
	ring_offer(&ring, 0);
	virtio_notify(rng, 0);
	wait_for_the_end();
	return 0;
}
