/*
 * A driver that does anything to a device: random registers, rings, descriptors and packets, most of them nearly right so
 * that they get far. Each decision is taken from bytes (choices.h): a fuzzer's, or random ones. There is nothing to
 * assert but that the device stays alive or breaks in order; the sanitizers watch.
 */
#ifndef HEARTH_TESTS_VIRTIO_DRIVER_H
#define HEARTH_TESTS_VIRTIO_DRIVER_H

#include "tests/fuzz/choices.h"
#include "vmm/event_loop.h"
#include "vmm/guest_memory.h"
#include "vmm/virtio/mmio.h"
#include "vmm/virtio/net.h"
#include "vmm/virtio/vsock.h"

enum { VIRTIO_DRIVER_CLIENTS_MAX = 8 };

struct virtio_driver {
	struct choices choices;
	struct guest_memory memory;
	struct event_loop loop;
	struct virtio_mmio mmio;
	unsigned n_broken, n_pushed; /* times that the device broke; chains that it gave back */
	char directory[32], path[64];
	int service; /* the host's listening socket; -1: no vsock device */
	int clients[VIRTIO_DRIVER_CLIENTS_MAX];
	int network; /* the other end of a network device's socket; -1: none, or closed */
};

/* Memory and a loop; then a device of any kind is made and attached. */
bool virtio_driver_open(struct virtio_driver *f);

/* A vsock device with clients and a service on its host's side, to be attached next. NULL if it cannot be. */
struct virtio_device *virtio_driver_open_vsock(struct virtio_driver *f);

/* A network device with somebody at its other end, to be attached next. NULL if it cannot be. */
struct virtio_device *virtio_driver_open_net(struct virtio_driver *f);

/* Takes the device over. */
void virtio_driver_attach(struct virtio_driver *f, struct virtio_device *device);

/* Does one thing of everything that f->choices may choose. */
void virtio_driver_do(struct virtio_driver *f);

void virtio_driver_close(struct virtio_driver *f);

#endif
