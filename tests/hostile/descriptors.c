/*
 * One forbidden chain, VARIANT (0 to 15), for the device DEVICE and its queue QUEUE. The device breaks, which ends the VM; a
 * chain that is odd but allowed is used, and then the guest asks for a reset.
 */
#include "tests/guests/guest.h"

static struct ring ring;
static uint8_t buffer[4096] __attribute__((aligned(4096)));

static void spoil(void)
{
	struct descriptor *d = ring.descriptors;

	switch (VARIANT) {
	case 0: /* points to itself */
		d[0].flags |= DESC_NEXT;
		d[0].next = 0;
		break;
	case 1: /* a longer loop */
		for (unsigned i = 0; i < RING_SIZE; i++)
			d[i] = (struct descriptor) { (uint64_t)buffer, 16, (uint16_t)(d[0].flags | DESC_NEXT),
						     (uint16_t)((i + 1) % RING_SIZE) };
		break;
	case 2: /* the next one does not exist */
		d[0].flags |= DESC_NEXT;
		d[0].next = RING_SIZE;
		break;
	case 3:
		d[0].flags |= DESC_NEXT;
		d[0].next = 0xffff;
		break;
	case 4: /* outside of memory */
		d[0].address = 0x8000000;
		break;
	case 5: /* across its end */
		d[0].address = 0x8000000 - 8;
		d[0].length = 16;
		break;
	case 6: /* around the end of the address space */
		d[0].address = 0xfffffffffffffff8;
		d[0].length = 16;
		break;
	case 7: /* in a device's registers */
		d[0].address = 0xd0010000;
		break;
	case 8:
		d[0].length = 0xffffffff;
		break;
	case 9:
		d[0].length = 0;
		break;
	case 10: /* a table of further descriptors, which was not negotiated */
		d[0].flags |= 4;
		break;
	case 11: /* all flags */
		d[0].flags = 0xffff;
		break;
	case 12: /* what is written stands before what is read */
		d[0].flags = DESC_WRITE | DESC_NEXT;
		d[0].next = 1;
		d[1] = (struct descriptor) { (uint64_t)buffer, 16, 0, 0 };
		break;
	case 13: /* the wrong direction */
		d[0].flags ^= DESC_WRITE;
		break;
	case 14: /* the available ring runs ahead */
		ring.available.index += 1000;
		break;
	case 15: /* its head does not exist */
		for (unsigned i = 0; i < RING_SIZE; i++)
			ring.available.ring[i] = 0xfff0;
		break;
	}
}

int main(void)
{
	const uint64_t device = virtio_find(DEVICE);

	virtio_start(device, QUEUE, &ring);
	ring.descriptors[0] =
		(struct descriptor) { (uint64_t)buffer, sizeof(buffer),
				      (DEVICE == VIRTIO_RNG || QUEUE == 0) && DEVICE != VIRTIO_BLK ? DESC_WRITE : 0,
				      0 };
	ring_offer(&ring, 0);
	spoil();
	virtio_notify(device, QUEUE);
	for (unsigned i = 0; i < 2000000 && ring.used.index == 0; i++)
		__asm__ volatile("pause");
	print("not refused\n");
	reset();
	wait_for_the_end();
	return 0;
}
