/*
 * virtio-vsock (virtio 1.2, 5.10), stream sockets only: packets on the rings on one side, Unix sockets on the other
 * (vsock_host.h). Logic of a connection is in vsock_flow, this file moves bytes.
 */
#ifndef HEARTH_VMM_VIRTIO_VSOCK_H
#define HEARTH_VMM_VIRTIO_VSOCK_H

#include "common/error.h"
#include "vmm/event_loop.h"
#include "vmm/virtio/device.h"

/*
 * A device whose clients come to `listener` (vsock_host_listen()), which it takes over, and whose guest reaches the
 * sockets `path`_<port> (copied). It works in `loop`, which must outlive it. NULL with *err set if it cannot be made.
 */
struct virtio_device *virtio_vsock_create(int listener, const char *path, struct event_loop *loop, struct error *err);

/* Accept clients from now on. Call once virtio_mmio_init() has run. 0 or -errno. */
int virtio_vsock_start(struct virtio_device *device);

/* Streams that stand or are being made or closed. */
unsigned virtio_vsock_n_connections(struct virtio_device *device);

#endif
