/* Puts a queue's used ring behind the end of memory. */
#include "guest.h"

static struct ring ring;

int main(void)
{
	uint64_t rng = virtio_find(VIRTIO_RNG);

	virtio_negotiate(rng, 0);
	virtio_set_queue(rng, 0, (uint64_t)ring.descriptors, (uint64_t)&ring.available, 0xfffffffffffff000);
	write32(rng + 0x70, 0xf);
	wait_for_the_end();
	return 0;
}
