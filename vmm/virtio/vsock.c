#include "vmm/virtio/vsock.h"

#include "vmm/virtio/vsock_device.h"

#include <endian.h>
#include <errno.h>
#include <linux/virtio_ids.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/timerfd.h>
#include <unistd.h>

/* ---- its queues -------------------------------------------------------------------------------------------------- */

/*
 * Tells the guest that its connections are gone (virtio 1.2, 5.10.6.7). Its driver acts on that and then gives the
 * buffer back, which is how we learn that new connections are safe. It does so when the buffer is used, so the index has
 * to be read before that; and it notifies only of what is behind avail_event, so that has to be moved.
 */
static void serve_events(struct vsock *vsock)
{
	static const uint32_t transport_reset = VIRTIO_VSOCK_EVENT_TRANSPORT_RESET;
	struct virtqueue *queue = &vsock->device.queues[VSOCK_QUEUE_EVENT];
	struct virtqueue_chain chain;

	if (vsock->is_gated && virtqueue_available_index(queue) != vsock->gate_index)
		vsock->is_gated = false;
	if (!vsock->reset_is_due || !virtio_device_pop(&vsock->device, VSOCK_QUEUE_EVENT, &chain))
		return;
	if (chain.n_readable || chain.writable_bytes < sizeof(transport_reset)) {
		virtio_device_break(&vsock->device, VSOCK_QUEUE_EVENT,
				    "a buffer that is readable or too small for an event");
		return;
	}
	vsock->gate_index = virtqueue_watch(queue);
	vsock->is_gated = true;
	vsock->reset_is_due = false;
	virtqueue_chain_write(&chain, 0, &transport_reset, sizeof(transport_reset)); /* 0 in any byte order */
	virtqueue_push(queue, &chain, sizeof(transport_reset));
	virtio_device_complete(&vsock->device, VSOCK_QUEUE_EVENT);
}

static void serve_queues(struct virtio_device *device)
{
	struct vsock *vsock = (struct vsock *)device;
	const unsigned n_sent = vsock_serve_tx(vsock);
	const bool tx_waits_for_rx = vsock->n_strays == VSOCK_STRAYS_MAX;
	const unsigned n_received = vsock_serve_rx(vsock);

	if (device->is_active && (n_sent == VSOCK_PACKETS_PER_PASS || n_received == VSOCK_PACKETS_PER_PASS ||
				  (tx_waits_for_rx && n_received > 0)))
		device->transport_ops->serve_again(device->transport);
}

static void vsock_serve(struct virtio_device *device)
{
	serve_events((struct vsock *)device);
	if (device->is_active)
		serve_queues(device);
}

/* ---- the device -------------------------------------------------------------------------------------------------- */

static void vsock_reset(struct virtio_device *device)
{
	struct vsock *vsock = (struct vsock *)device;

	for (unsigned i = 0; i < vsock->table.n_touched; i++)
		if (vsock->table.slots[i].phase != VSOCK_FREE)
			vsock_release(vsock, &vsock->table.slots[i]);
	vsock->first_stray = vsock->n_strays = 0;
	vsock->reset_is_due = vsock->is_gated = false;
}

unsigned virtio_vsock_n_connections(struct virtio_device *device)
{
	struct vsock *vsock = (struct vsock *)device;
	unsigned n = 0;

	pthread_mutex_lock(&device->lock);
	for (unsigned i = 0; i < vsock->table.n_touched; i++)
		n += vsock->table.slots[i].phase == VSOCK_STREAM;
	pthread_mutex_unlock(&device->lock);
	return n;
}

/* Streams end with the process; what is kept is whether the guest believes that it has some, and ports not to use again. */
static void vsock_save(const struct virtio_device *device, struct state_writer *writer)
{
	const struct vsock *vsock = (const struct vsock *)device;
	const bool guest_has_streams = vsock->table.n_used || vsock->n_strays;

	state_put_uint(writer, vsock->next_host_port, 4);
	state_put_uint(writer, guest_has_streams || vsock->reset_is_due || vsock->is_gated, 1);
}

static int vsock_restore(struct virtio_device *device, struct bytes *in, struct error *err)
{
	struct vsock *vsock = (struct vsock *)device;
	const uint32_t port = bytes_get_u32(in);
	const bool guest_has_streams = bytes_get_u8(in);

	(void)err;
	if (port >= VSOCK_HOST_PORT_FIRST && port < VSOCK_HOST_PORT_END)
		vsock->next_host_port = port;
	/* A driver without an event queue has no connections either. */
	vsock->reset_is_due = guest_has_streams && device->queues[VSOCK_QUEUE_EVENT].descriptors;
	return 0;
}

static void vsock_destroy(struct virtio_device *device)
{
	struct vsock *vsock = (struct vsock *)device;

	if (vsock->table.slots)
		vsock_reset(device);
	vsock_table_fini(&vsock->table);
	if (vsock->listener.fd >= 0) {
		close(vsock->listener.fd);
	}
	if (vsock->timer.fd >= 0)
		close(vsock->timer.fd);
	free(vsock);
}

static const struct virtio_device_ops vsock_ops = {
	.id = VIRTIO_ID_VSOCK,
	.n_queues = VSOCK_N_QUEUES,
	.queue_size_max = VIRTQUEUE_SIZE_MAX,
	.serve = vsock_serve,
	.reset = vsock_reset,
	.save = vsock_save,
	.restore = vsock_restore,
	.destroy = vsock_destroy,
};

struct virtio_device *virtio_vsock_create(int listener, const char *path, struct event_loop *loop, struct error *err)
{
	struct vsock *vsock = calloc(1, sizeof(*vsock));

	if (!vsock) {
		error_set(err, ENOMEM, "vsock: out of memory");
		close(listener);
		return NULL;
	}
	vsock->device = (struct virtio_device) {
		.ops = &vsock_ops, .name = "vsock", .config = &vsock->config, .config_size = sizeof(vsock->config)
	};
	vsock->config.guest_cid = htole64(VSOCK_GUEST_CID);
	vsock->loop = loop;
	vsock->next_host_port = VSOCK_HOST_PORT_FIRST;
	vsock->timer = (struct event_source) { .fd = -1, .ready = vsock_timer_ready, .opaque = vsock };
	vsock->listener = (struct event_source) { .ready = vsock_listener_ready, .opaque = vsock };
	vsock->listener.fd = listener;
	snprintf(vsock->path, sizeof(vsock->path), "%s", path);
	vsock->timer.fd = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
	if (vsock->timer.fd < 0 || vsock_table_init(&vsock->table) < 0) {
		error_set(err, ENOMEM, "vsock: cannot get a timer or memory");
		goto fail;
	}
	return &vsock->device;
fail:
	vsock_destroy(&vsock->device);
	return NULL;
}

int virtio_vsock_start(struct virtio_device *device)
{
	struct vsock *vsock = (struct vsock *)device;
	int status = event_loop_add(vsock->loop, &vsock->timer, EPOLLIN);

	if (status == 0)
		status = event_loop_add(vsock->loop, &vsock->listener, EPOLLIN);
	vsock->is_listening = status == 0;
	return status;
}
