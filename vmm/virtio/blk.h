/*
 * virtio-blk over a raw file or block device (virtio 1.2, 5.2). The format is never guessed: bytes are what they are.
 * Requests are done where the queue is served, one after the other, never on a vCPU.
 */
#ifndef HEARTH_VMM_VIRTIO_BLK_H
#define HEARTH_VMM_VIRTIO_BLK_H

#include "common/error.h"
#include "vmm/virtio/device.h"

/*
 * Opens `path` and makes disk `index` (vda is 0) of it. A writable disk is locked against a second writer. NULL with
 * *err set if the file cannot be used.
 */
struct virtio_device *virtio_blk_create(const char *path, bool is_read_only, unsigned index, struct error *err);

/* The same over a descriptor, which it takes over, of `capacity` sectors. NULL if memory is short. */
struct virtio_device *virtio_blk_create_over(int fd, uint64_t capacity, bool is_read_only, unsigned index);

#endif
