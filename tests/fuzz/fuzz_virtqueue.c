/* The walker of descriptor chains: whatever the rings hold, a chain is within memory and its limits. */
#include "tests/fuzz/choices.h"
#include "tests/fuzz/fuzz.h"
#include "vmm/virtio/virtqueue.h"

#include <string.h>

enum { MEMORY_SIZE = 1 << 20, RINGS = 0x1000 };

static struct guest_memory memory;

static void check_chain(const struct virtqueue_chain *chain)
{
	uint64_t bytes[2] = { 0 };

	FUZZ_CHECK(chain->n_readable + chain->n_writable <= VIRTQUEUE_SIZE_MAX);
	for (unsigned i = 0; i < (unsigned)chain->n_readable + chain->n_writable; i++) {
		const uint8_t *start = chain->segments[i].iov_base, *ram = memory.regions[0].host;

		FUZZ_CHECK(start >= ram && start + chain->segments[i].iov_len <= ram + MEMORY_SIZE);
		bytes[i >= chain->n_readable] += chain->segments[i].iov_len;
	}
	FUZZ_CHECK(bytes[0] == chain->readable_bytes && bytes[1] == chain->writable_bytes);
}

static void use_chain(struct virtqueue *vq, struct virtqueue_chain *chain, struct choices *c)
{
	static struct iovec segments[VIRTQUEUE_SIZE_MAX];
	static uint8_t copy[4096];
	const uint64_t offset = choose(c, 2);
	size_t n;

	check_chain(chain);
	n = virtqueue_chain_read(chain, offset, copy, sizeof(copy));
	FUZZ_CHECK(n <= sizeof(copy) && n <= chain->readable_bytes);
	FUZZ_CHECK(virtqueue_chain_slice(chain, choose_below(c, 2), offset, choose(c, 2), segments) <=
		   VIRTQUEUE_SIZE_MAX);
	if (choose_rarely(c, 8))
		virtqueue_unpop(vq);
	else
		virtqueue_push(vq, chain, (uint32_t)virtqueue_chain_write(chain, offset, copy, n));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct choices c = { data, size };
	struct virtqueue_setup setup = { .size = (uint16_t)(1U << choose_below(&c, 9)),
					 .descriptors = RINGS,
					 .available = RINGS + 0x1000,
					 .used = RINGS + 0x2000 };
	static struct virtqueue_chain chain;
	struct virtqueue vq;

	if (!memory.n_regions)
		FUZZ_CHECK(guest_memory_init(&memory, MEMORY_SIZE) == 0);
	memset(memory.regions[0].host, 0, RINGS + 0x3000);
	if (choose_rarely(&c, 16)) {
		setup.size = (uint16_t)choose(&c, 2);
		setup.descriptors = choose(&c, 8);
		setup.available = choose(&c, 8);
		setup.used = choose(&c, 8);
	}
	if (virtqueue_init(&vq, &memory, &setup, choose_below(&c, 2)) < 0)
		return 0;
	while (!choices_are_over(&c)) {
		const size_t at = RINGS + (choose_below(&c, 0x3000) & ~1U);
		const uint8_t *bytes;
		size_t n;

		bytes = choose_bytes(&c, 1 + choose_below(&c, 32), &n);
		memcpy(memory.regions[0].host + at, bytes, n);
		for (int i = 0; i < 4 && virtqueue_pop(&vq, &chain) == 1; i++)
			use_chain(&vq, &chain, &c);
		virtqueue_needs_interrupt(&vq);
		virtqueue_rearm(&vq);
	}
	return 0;
}
