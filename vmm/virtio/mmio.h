/*
 * The virtio-mmio transport, version 2 (virtio 1.2, 4.2.2): registers, the status state machine, notifications. Knows
 * no device.
 *
 * Registers are accessed on vCPU threads; queues are served where the kick descriptor is polled. The interrupt status
 * is the only register of the busy path and needs no lock.
 */
#ifndef HEARTH_VMM_VIRTIO_MMIO_H
#define HEARTH_VMM_VIRTIO_MMIO_H

#include "vmm/virtio/device.h"

enum {
	VIRTIO_MMIO_WINDOW_SIZE = 0x200,
	VIRTIO_MMIO_NOTIFY_OFFSET = 0x50, /* where an ioeventfd listens */
};

/* Called once when a driver broke its device; `what` names device, queue and reason. Any thread, lock held. */
typedef void virtio_mmio_broken_fn(void *opaque, const char *what);

struct virtio_mmio_queue {
	struct virtqueue_setup setup;
	bool ready;
};

struct virtio_mmio {
	struct virtio_device *device; /* owned */
	const struct guest_memory *memory;
	int kick_fd;      /* eventfd: a queue wants service */
	int interrupt_fd; /* eventfd: raises the device's interrupt */
	virtio_mmio_broken_fn *broken;
	void *broken_opaque;

	/* Registers. */
	uint32_t status;
	uint32_t device_features_page, driver_features_page, queue_selected;
	uint32_t config_generation;
	uint32_t interrupt_status; /* atomic */
	uint64_t driver_features;
	struct virtio_mmio_queue queues[VIRTIO_QUEUES_MAX];
};

/*
 * Takes over the device. The two eventfds stay the caller's. `memory` must outlive the transport.
 */
void virtio_mmio_init(struct virtio_mmio *mmio, struct virtio_device *device, const struct guest_memory *memory,
		      int kick_fd, int interrupt_fd, virtio_mmio_broken_fn *broken, void *broken_opaque);
void virtio_mmio_fini(struct virtio_mmio *mmio);

/* A register access by a vCPU; a bus_access_fn. */
void virtio_mmio_access(void *mmio, uint64_t offset, uint8_t *data, unsigned length, bool is_write);

/*
 * The kick descriptor was signalled: serves the device. An event_source callback, to be added with EPOLLET: the count is
 * not taken away.
 */
void virtio_mmio_kicked(void *mmio, uint32_t events);

/* Puts the transport's registers, the queues and the device into sections of `instance`. No vCPU runs. */
void virtio_mmio_save(const struct virtio_mmio *mmio, uint32_t instance, struct state_writer *writer);

/*
 * Takes them back into a transport that was just made. Everything is checked as if a driver had written it. 0, or
 * negative with *err set.
 */
int virtio_mmio_restore(struct virtio_mmio *mmio, uint32_t instance, struct state_reader *reader, struct error *err);

/*
 * To be called once interrupts can be raised again: serves what was asked for before the snapshot, and repeats an
 * interrupt that may have been on its way.
 */
void virtio_mmio_restored(const struct virtio_mmio *mmio);

#endif
