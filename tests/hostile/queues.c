/* Sets queues up in every forbidden way; a device may break for it, or refuse it, and works after a reset. */
#include "tests/guests/guest.h"

static struct ring ring;

static const uint32_t sizes[] = { 0, 3, 7, 255, 257, 1024, 32768, 65535, 65536, 0x80000000, 0xffffffff };
static const uint64_t places[] = {
	1,          0xfff,       0x7fffffe,          0xd0010000,         0xd0000000,        0xfffffff0,
	0xfffffffe, 0x100000000, 0x7fffffffffffffff, 0xfffffffffffff000, 0xffffffffffffffff
};

static void set_up(uint64_t base, uint32_t queue, uint32_t size, uint64_t descriptors, uint64_t available,
		   uint64_t used)
{
	virtio_negotiate(base, 0);
	virtio_set_queue(base, queue, descriptors, available, used);
	write32(base + 0x38, size);
	write32(base + 0x44, 1);
	/* Without the last step, which would serve the queue: whether it would is in the ready register. */
	(void)read32(base + 0x44);
	write32(base + 0x44, 0);
	write32(base + 0x70, 0);
}

/* Before there is a queue, while there is one, and for queues that no device has. */
static void notify_without_queues(uint64_t base)
{
	for (uint32_t queue = 0; queue < 70000; queue += queue < 8 ? 1 : 997)
		virtio_notify(base, queue);
	virtio_notify(base, 0xffffffff);
}

int main(void)
{
	const uint64_t rng = virtio_find(VIRTIO_RNG), d = (uint64_t)ring.descriptors, a = (uint64_t)&ring.available,
		       u = (uint64_t)&ring.used;

	notify_without_queues(rng);
	for (unsigned i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++)
		set_up(rng, 0, sizes[i], d, a, u);
	for (unsigned i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
		set_up(rng, 0, 8, places[i], a, u);
		set_up(rng, 0, 8, d, places[i], u);
		set_up(rng, 0, 8, d, a, places[i]);
		set_up(rng, 0, 8, places[i], places[i], places[i]);
	}
	for (uint32_t queue = 1; queue < 5; queue++)
		set_up(rng, queue, 8, d, a, u);
	/* All in one place, and the status register run through. */
	set_up(rng, 0, 8, d, d, d);
	for (uint32_t status = 0; status < 256; status++)
		write32(rng + 0x70, status & ~4u);
	notify_without_queues(rng);
	virtio_start(rng, 0, &ring);
	print("a queue after all\n");
	reset();
	wait_for_the_end();
	return 0;
}
