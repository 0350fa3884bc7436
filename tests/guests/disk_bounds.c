/* Reads behind the end of a disk, writes to a read-only one: errors, not endings. Then reads it properly. */
#include "guest.h"

static struct ring ring;
static struct {
	uint32_t type, reserved;
	uint64_t sector;
} header;
static volatile uint8_t data[512], status;

static uint8_t request(uint64_t blk, uint32_t type, uint64_t sector)
{
	static uint16_t n_done;

	header.type = type;
	header.sector = sector;
	status = 0xee;
	ring.descriptors[0] = (struct descriptor) { (uint64_t)&header, sizeof(header), DESC_NEXT, 1 };
	ring.descriptors[1] = (struct descriptor) { (uint64_t)data, sizeof(data),
						    (uint16_t)(type ? DESC_NEXT : DESC_NEXT | DESC_WRITE), 2 };
	ring.descriptors[2] = (struct descriptor) { (uint64_t)&status, 1, DESC_WRITE, 0 };
	ring_offer(&ring, 0);
	virtio_notify(blk, 0);
	n_done++;
	while (ring.used.index != n_done)
		__asm__ volatile("pause");
	return status;
}

int main(void)
{
	uint64_t blk = virtio_find(VIRTIO_BLK);
	uint64_t capacity = read32(blk + 0x100) | (uint64_t)read32(blk + 0x104) << 32;

	virtio_start(blk, 0, &ring);
	if (request(blk, 0, capacity) != 1 || request(blk, 0, UINT64_MAX) != 1 ||
	    request(blk, 0, UINT64_MAX / 512) != 1)
		fail("a read behind the end did not fail");
	if (request(blk, 1, 0) != 1)
		fail("a write to a read-only disk did not fail");
	if (request(blk, 99, 0) != 2)
		fail("an unknown request was not refused");
	if (request(blk, 0, capacity - 1) != 0)
		fail("the last sector cannot be read");
	print("disk: ");
	for (unsigned i = 0; i < 8; i++)
		write8(SERIAL, data[i]);
	print("\n");
	reset();
	wait_for_the_end();
	return 0;
}
