#include "vmm/virtio/device.h"

#include <stdio.h>

void virtio_device_break(struct virtio_device *device, unsigned queue, const char *why)
{
	char what[160];

	snprintf(what, sizeof(what), "%s: the driver broke queue %u: %s", device->name, queue, why);
	device->is_active = false;
	device->transport_ops->broken(device->transport, what);
}

bool virtio_device_pop(struct virtio_device *device, unsigned queue, struct virtqueue_chain *chain)
{
	int status;

	if (!device->is_active)
		return false;
	status = virtqueue_pop(&device->queues[queue], chain);
	if (status < 0)
		virtio_device_break(device, queue, device->queues[queue].error);
	return status > 0;
}

bool virtio_device_pop_to_fill(struct virtio_device *device, unsigned queue, struct virtqueue_chain *chain,
			       uint32_t header, const char *why)
{
	if (!virtio_device_pop(device, queue, chain) &&
	    !(device->is_active && virtqueue_rearm(&device->queues[queue]) && virtio_device_pop(device, queue, chain)))
		return false;
	if (!chain->n_readable && chain->writable_bytes > header)
		return true;
	virtio_device_break(device, queue, why);
	return false;
}

void virtio_device_complete(struct virtio_device *device, unsigned queue)
{
	if (device->is_active && virtqueue_needs_interrupt(&device->queues[queue]))
		device->transport_ops->interrupt(device->transport);
}
