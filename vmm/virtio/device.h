/*
 * Where a virtio device and its transport meet. A device knows its queues and this header; the transport knows the
 * table of operations. Neither includes the other.
 *
 * Locking: `lock` guards everything here, the transport's registers and the device's own state. The transport holds it
 * whenever it calls an operation; a device takes it in the callbacks of its own descriptors. It is held for one bounded
 * pass over a queue at most, and vCPUs take it only while a driver sets the device up or resets it.
 */
#ifndef HEARTH_VMM_VIRTIO_DEVICE_H
#define HEARTH_VMM_VIRTIO_DEVICE_H

#include "vmm/snapshot/state_file.h"
#include "vmm/virtio/virtqueue.h"

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

enum { VIRTIO_QUEUES_MAX = 3 };

struct virtio_device;

struct virtio_device_ops {
	uint32_t id; /* VIRTIO_ID_* */
	unsigned n_queues;
	uint16_t queue_size_max; /* a power of two, at most VIRTQUEUE_SIZE_MAX */
	/*
	 * The driver notifies rarely, so a notification may leave the guest by the slow way: that spares KVM one
	 * registration, which costs a grace period on older hosts.
	 */
	bool is_rarely_notified;

	/* Serves all queues, for one bounded pass. Stops at once when virtio_device_break() was called. */
	void (*serve)(struct virtio_device *device);
	/* Back to the state before the driver came. May be NULL. */
	void (*reset)(struct virtio_device *device);
	/* Puts what the device has besides its queues into the open section; may be NULL, then so is `restore`. */
	void (*save)(const struct virtio_device *device, struct state_writer *writer);
	/*
	 * Takes it back, before the device is served. 0, or negative with *err set; what is short is found by the
	 * caller.
	 */
	int (*restore)(struct virtio_device *device, struct bytes *in, struct error *err);
	/* Frees what the device holds, and the device. */
	void (*destroy)(struct virtio_device *device);
};

/* What a device asks of its transport. */
struct virtio_transport_ops {
	void (*interrupt)(void *transport);                /* buffers were used */
	void (*serve_again)(void *transport);              /* call `serve` soon, after others had their turn */
	void (*broken)(void *transport, const char *what); /* DEVICE_NEEDS_RESET; `what` is a sentence */
};

struct virtio_device {
	const struct virtio_device_ops *ops;
	char name[16];      /* for messages: "blk0" */
	uint64_t features;  /* offered; the transport adds its own */
	const void *config; /* device configuration space, constant, little-endian */
	uint32_t config_size;

	pthread_mutex_t lock;
	bool is_active;           /* the driver said DRIVER_OK and the queues are valid */
	uint64_t driver_features; /* negotiated; while it is active */
	struct virtqueue queues[VIRTIO_QUEUES_MAX];

	const struct virtio_transport_ops *transport_ops;
	void *transport;
};

/* The driver did what no working driver does: stops the device for good and reports it. `why` is a noun phrase. */
void virtio_device_break(struct virtio_device *device, unsigned queue, const char *why);

/* virtqueue_pop(), but a broken ring breaks the device and looks empty to the caller: false. */
bool virtio_device_pop(struct virtio_device *device, unsigned queue, struct virtqueue_chain *chain);

/*
 * A chain for the device to fill, behind `header` bytes of its own. If there is none it is false, and the driver notifies of
 * the next; one that is readable or has no room breaks the device, with `why`.
 */
bool virtio_device_pop_to_fill(struct virtio_device *device, unsigned queue, struct virtqueue_chain *chain,
			       uint32_t header, const char *why);

/* Interrupts the driver if it wants to know about what was pushed to the queue. */
void virtio_device_complete(struct virtio_device *device, unsigned queue);

#endif
