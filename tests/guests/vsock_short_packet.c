/* Sends virtio-vsock a packet that is shorter than its header. */
#include "guest.h"

static struct ring ring;
static uint8_t packet[43];

int main(void)
{
	uint64_t vsock = virtio_find(VIRTIO_VSOCK);

	virtio_start(vsock, 1, &ring);
	ring.descriptors[0] = (struct descriptor) { (uint64_t)packet, sizeof(packet), 0, 0 };
	ring_offer(&ring, 0);
	virtio_notify(vsock, 1);
	wait_for_the_end();
	return 0;
}
