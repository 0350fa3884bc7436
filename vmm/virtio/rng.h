/* virtio-rng: the host's randomness for the guest (virtio 1.2, 5.4). */
#ifndef HEARTH_VMM_VIRTIO_RNG_H
#define HEARTH_VMM_VIRTIO_RNG_H

#include "vmm/virtio/device.h"

/* A device for virtio_mmio_init(), or NULL if memory is short. */
struct virtio_device *virtio_rng_create(void);

#endif
