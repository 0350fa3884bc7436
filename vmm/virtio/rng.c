#include "vmm/virtio/rng.h"

#include <linux/virtio_ids.h>
#include <stdlib.h>
#include <sys/random.h>

enum {
	RNG_REQUEST_MAX = 4096, /* bytes given for one request; a driver that wants more asks again */
	RNG_REQUESTS_PER_PASS = 8,
};

static uint32_t fill(const struct virtqueue_chain *chain)
{
	uint8_t random[RNG_REQUEST_MAX];
	size_t wanted = chain->writable_bytes < sizeof(random) ? chain->writable_bytes : sizeof(random);
	ssize_t got = getrandom(random, wanted, GRND_NONBLOCK);

	return got < 0 ? 0 : (uint32_t)virtqueue_chain_write(chain, 0, random, (size_t)got);
}

static void rng_serve(struct virtio_device *device)
{
	struct virtqueue_chain chain;
	unsigned n_served = 0;

	do {
		while (n_served < RNG_REQUESTS_PER_PASS && virtio_device_pop(device, 0, &chain)) {
			if (chain.n_readable) {
				virtio_device_break(device, 0, "a request with something to read");
				return;
			}
			virtqueue_push(&device->queues[0], &chain, fill(&chain));
			n_served++;
		}
		virtio_device_complete(device, 0);
	} while (device->is_active && n_served < RNG_REQUESTS_PER_PASS && virtqueue_rearm(&device->queues[0]));
	if (n_served == RNG_REQUESTS_PER_PASS)
		device->transport_ops->serve_again(device->transport);
}

static void rng_destroy(struct virtio_device *device)
{
	free(device);
}

static const struct virtio_device_ops rng_ops = {
	.id = VIRTIO_ID_RNG,
	.n_queues = 1,
	.queue_size_max = 8,
	.is_rarely_notified = true,
	.serve = rng_serve,
	.destroy = rng_destroy,
};

struct virtio_device *virtio_rng_create(void)
{
	struct virtio_device *device = calloc(1, sizeof(*device));

	if (device)
		*device = (struct virtio_device) { .ops = &rng_ops, .name = "rng" };
	return device;
}
