/* Writes the second sector of a disk, flushes, reads it back. */
#include "guest.h"

static struct ring ring;
static struct {
	uint32_t type, reserved;
	uint64_t sector;
} header;
static volatile uint8_t data[512], status;
static uint16_t n_done;

static void finish(uint64_t blk, const char *what)
{
	status = 0xee;
	ring_offer(&ring, 0);
	virtio_notify(blk, 0);
	n_done++;
	while (ring.used.index != n_done)
		__asm__ volatile("pause");
	if (status != 0)
		fail(what);
}

static void transfer(uint64_t blk, uint32_t type, const char *what)
{
	const uint16_t flags = (uint16_t)(type ? DESC_NEXT : DESC_NEXT | DESC_WRITE);

	header.type = type;
	header.sector = 1;
	ring.descriptors[0] = (struct descriptor) { (uint64_t)&header, sizeof(header), DESC_NEXT, 1 };
	ring.descriptors[1] = (struct descriptor) { (uint64_t)data, sizeof(data), flags, 2 };
	ring.descriptors[2] = (struct descriptor) { (uint64_t)&status, 1, DESC_WRITE, 0 };
	finish(blk, what);
}

int main(void)
{
	uint64_t blk = virtio_find(VIRTIO_BLK);

	virtio_start(blk, 0, &ring);
	for (unsigned i = 0; i < sizeof(data); i++)
		data[i] = (uint8_t)('a' + i % 26);
	transfer(blk, 1, "a write failed");
	header.type = 4;
	ring.descriptors[0].next = 2;
	finish(blk, "a flush failed");
	for (unsigned i = 0; i < sizeof(data); i++)
		data[i] = 0;
	transfer(blk, 0, "a read failed");
	print(data[0] == 'a' && data[511] == 'a' + 511 % 26 ? "written\n" : "lost\n");
	reset();
	wait_for_the_end();
	return 0;
}
