/*
 * virtio-net (virtio 1.2, 5.1): Ethernet frames on the rings on one side, messages of a Unix socket on the other
 * (common/network_protocol.h). No control queue, and no offload but a checksum that is completed here: the VMM moves frames,
 * and knows nothing of what is in them.
 */
#ifndef HEARTH_VMM_VIRTIO_NET_H
#define HEARTH_VMM_VIRTIO_NET_H

#include "common/error.h"
#include "vmm/event_loop.h"
#include "vmm/virtio/device.h"

/*
 * A device over `fd`, a connected SOCK_SEQPACKET socket that is its own from now on. It works in `loop`, which must
 * outlive it. NULL with *err set if it cannot be made; the socket is then still the caller's.
 */
struct virtio_device *virtio_net_create(int fd, struct event_loop *loop, struct error *err);

/* Takes frames from the socket from now on. Call once virtio_mmio_init() has run. 0 or -errno. */
int virtio_net_start(struct virtio_device *device);

#endif
