/*
 * The device's end of a split virtqueue (virtio 1.2, 2.7): takes descriptor chains that the driver offers, gives them
 * back used, and tells when a notification is due in either direction. Knows no device and no transport.
 *
 * The rings lie in memory that the guest can change at any moment: each value is read once, then checked, and only
 * the copy is used.
 */
#ifndef HEARTH_VMM_VIRTIO_VIRTQUEUE_H
#define HEARTH_VMM_VIRTIO_VIRTQUEUE_H

#include "vmm/guest_memory.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/uio.h>

enum { VIRTQUEUE_SIZE_MAX = 256 };

/* Where a driver says that its queue is. */
struct virtqueue_setup {
	uint16_t size; /* descriptors */
	gpa_t descriptors, available, used;
};

struct virtqueue {
	const struct guest_memory *memory;
	struct virtqueue_setup setup;
	bool event_idx;             /* VIRTIO_F_EVENT_IDX was negotiated */
	uint16_t next_available;    /* index of the next chain to take; runs free, modulo 2^16 */
	uint16_t next_used;         /* index of the next chain to give back */
	uint16_t interrupted_at;    /* next_used when virtqueue_needs_interrupt() was last asked */
	const char *error;          /* why the last virtqueue_pop() returned -EPROTO */
	const uint8_t *descriptors; /* NULL: the queue is not in use */
	uint8_t *available;
	uint8_t *used;
};

/* All readable segments stand before all writable ones. The bytes behind them are the guest's and may change. */
struct virtqueue_chain {
	uint16_t head;
	uint16_t n_readable, n_writable;
	uint64_t readable_bytes, writable_bytes;
	struct iovec segments[VIRTQUEUE_SIZE_MAX];
};

/* -EINVAL if the size, the alignment or the place of a ring is not acceptable; the queue is then not in use. */
int virtqueue_init(struct virtqueue *vq, const struct guest_memory *memory, const struct virtqueue_setup *setup,
		   bool event_idx);

/*
 * Takes the next chain. Returns 1 with *chain filled, 0 if the driver offers none, -EPROTO if it broke the ring
 * (vq->error says how): the device must then be put into DEVICE_NEEDS_RESET.
 */
int virtqueue_pop(struct virtqueue *vq, struct virtqueue_chain *chain);

/* Puts the chain popped last back, as if it had not been taken. */
void virtqueue_unpop(struct virtqueue *vq);

/* Gives a chain back; `written` is the number of bytes written to its writable part. */
void virtqueue_push(struct virtqueue *vq, const struct virtqueue_chain *chain, uint32_t written);

/* A chain to be given back, by its head, and what was written to it. */
struct virtqueue_used {
	uint16_t head;
	uint32_t written;
};

/* Gives several chains back, which the driver sees all at once. */
void virtqueue_push_together(struct virtqueue *vq, const struct virtqueue_used *used, unsigned n);

/* After some pushes: does the driver want to be interrupted for them? */
bool virtqueue_needs_interrupt(struct virtqueue *vq);

/*
 * When going idle: asks for a notification at the next chain. True if chains are there already: the driver may have
 * missed that we asked, so they must be taken now.
 */
bool virtqueue_rearm(struct virtqueue *vq);

/*
 * Asks for a notification at the chain after all that are there now, taken or not, and returns the available index at
 * this moment: another one later means that the driver has added a chain since.
 */
uint16_t virtqueue_watch(struct virtqueue *vq);

/* The available index now. */
uint16_t virtqueue_available_index(const struct virtqueue *vq);

/* Copies from the readable part, starting at `offset`, at most `size` bytes; returns how many there were. */
size_t virtqueue_chain_read(const struct virtqueue_chain *chain, uint64_t offset, void *data, size_t size);

/* Copies to the writable part likewise. */
size_t virtqueue_chain_write(const struct virtqueue_chain *chain, uint64_t offset, const void *data, size_t size);

/*
 * The readable or the writable bytes [offset, offset + length) as segments for readv() and its kin; cut where the part
 * ends. `segments` has room for VIRTQUEUE_SIZE_MAX. Returns their number.
 */
int virtqueue_chain_slice(const struct virtqueue_chain *chain, bool writable, uint64_t offset, uint64_t length,
			  struct iovec *segments);

#endif
