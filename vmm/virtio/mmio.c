#include "vmm/virtio/mmio.h"

#include "common/log.h"
#include "vmm/event_loop.h"

#include <endian.h>
#include <errno.h>
#include <linux/virtio_config.h>
#include <linux/virtio_mmio.h>
#include <linux/virtio_ring.h>
#include <string.h>

enum {
	MMIO_MAGIC = 0x74726976, /* "virt" */
	MMIO_VERSION = 2,
	MMIO_VENDOR = 0x48545248, /* "HRTH" */
	CONFIG_OFFSET = VIRTIO_MMIO_CONFIG,
	STATUS_STEPS = VIRTIO_CONFIG_S_ACKNOWLEDGE | VIRTIO_CONFIG_S_DRIVER | VIRTIO_CONFIG_S_FEATURES_OK |
		       VIRTIO_CONFIG_S_DRIVER_OK,
};

#define TRANSPORT_FEATURES (1ULL << VIRTIO_F_VERSION_1 | 1ULL << VIRTIO_RING_F_EVENT_IDX)

static uint64_t offered_features(const struct virtio_mmio *mmio)
{
	return mmio->device->features | TRANSPORT_FEATURES;
}

/* The bit must be visible before the interrupt is: the driver reads it in its handler. */
static void interrupt(struct virtio_mmio *mmio, uint32_t reason)
{
	__atomic_fetch_or(&mmio->interrupt_status, reason, __ATOMIC_SEQ_CST);
	eventfd_signal(mmio->interrupt_fd);
}

static void interrupt_used(void *transport)
{
	interrupt(transport, VIRTIO_MMIO_INT_VRING);
}

static void serve_again(void *transport)
{
	struct virtio_mmio *mmio = transport;

	eventfd_signal(mmio->kick_fd);
}

static void broken(void *transport, const char *what)
{
	struct virtio_mmio *mmio = transport;

	mmio->status |= VIRTIO_CONFIG_S_NEEDS_RESET;
	interrupt(mmio, VIRTIO_MMIO_INT_CONFIG);
	mmio->broken(mmio->broken_opaque, what);
}

static const struct virtio_transport_ops transport_ops = {
	.interrupt = interrupt_used,
	.serve_again = serve_again,
	.broken = broken,
};

void virtio_mmio_init(struct virtio_mmio *mmio, struct virtio_device *device, const struct guest_memory *memory,
		      int kick_fd, int interrupt_fd, virtio_mmio_broken_fn *broken_fn, void *broken_opaque)
{
	*mmio = (struct virtio_mmio) {
		.device = device,
		.memory = memory,
		.kick_fd = kick_fd,
		.interrupt_fd = interrupt_fd,
		.broken = broken_fn,
		.broken_opaque = broken_opaque,
	};
	device->transport_ops = &transport_ops;
	device->transport = mmio;
	pthread_mutex_init(&device->lock, NULL);
}

void virtio_mmio_fini(struct virtio_mmio *mmio)
{
	if (!mmio->device)
		return;
	pthread_mutex_destroy(&mmio->device->lock);
	mmio->device->ops->destroy(mmio->device);
	mmio->device = NULL;
}

static void reset(struct virtio_mmio *mmio)
{
	mmio->device->is_active = false;
	if (mmio->device->ops->reset)
		mmio->device->ops->reset(mmio->device);
	memset(mmio->device->queues, 0, sizeof(mmio->device->queues));
	memset(mmio->queues, 0, sizeof(mmio->queues));
	mmio->status = 0;
	mmio->device_features_page = mmio->driver_features_page = mmio->queue_selected = 0;
	mmio->driver_features = 0;
	__atomic_store_n(&mmio->interrupt_status, 0, __ATOMIC_SEQ_CST);
}

/* From here on the private copies in the device's queues count, and the registers of the queues are frozen. */
static void activate(struct virtio_mmio *mmio)
{
	struct virtio_device *device = mmio->device;
	const bool event_idx = mmio->driver_features & (1ULL << VIRTIO_RING_F_EVENT_IDX);

	for (unsigned i = 0; i < device->ops->n_queues; i++) {
		if (!mmio->queues[i].ready)
			continue;
		if (virtqueue_init(&device->queues[i], mmio->memory, &mmio->queues[i].setup, event_idx) < 0) {
			virtio_device_break(device, i, "rings outside of memory or not aligned");
			return;
		}
	}
	device->driver_features = mmio->driver_features;
	device->is_active = true;
	/* A notification may have come before. */
	eventfd_signal(mmio->kick_fd);
}

static bool features_are_acceptable(const struct virtio_mmio *mmio)
{
	return !(mmio->driver_features & ~offered_features(mmio)) &&
	       (mmio->driver_features & (1ULL << VIRTIO_F_VERSION_1));
}

static bool size_is_acceptable(const struct virtio_mmio *mmio, uint32_t size)
{
	return size <= mmio->device->ops->queue_size_max && !(size & (size - 1));
}

/*
 * The driver goes up one step at a time (virtio 1.2, 3.1.1); a write that skips a step or takes one back is ignored.
 */
static void write_status(struct virtio_mmio *mmio, uint32_t value)
{
	if (value == 0) {
		reset(mmio);
		return;
	}
	if (value & VIRTIO_CONFIG_S_FAILED)
		mmio->status |= VIRTIO_CONFIG_S_FAILED;
	if (mmio->status & (VIRTIO_CONFIG_S_FAILED | VIRTIO_CONFIG_S_NEEDS_RESET))
		return;

	switch ((value & STATUS_STEPS) ^ mmio->status) {
	case VIRTIO_CONFIG_S_ACKNOWLEDGE:
		if (mmio->status == 0)
			mmio->status |= VIRTIO_CONFIG_S_ACKNOWLEDGE;
		break;
	case VIRTIO_CONFIG_S_DRIVER:
		if (mmio->status == VIRTIO_CONFIG_S_ACKNOWLEDGE)
			mmio->status |= VIRTIO_CONFIG_S_DRIVER;
		break;
	case VIRTIO_CONFIG_S_FEATURES_OK:
		if (mmio->status == (VIRTIO_CONFIG_S_ACKNOWLEDGE | VIRTIO_CONFIG_S_DRIVER) &&
		    features_are_acceptable(mmio))
			mmio->status |= VIRTIO_CONFIG_S_FEATURES_OK;
		break;
	case VIRTIO_CONFIG_S_DRIVER_OK:
		if (mmio->status == (STATUS_STEPS & ~VIRTIO_CONFIG_S_DRIVER_OK)) {
			mmio->status |= VIRTIO_CONFIG_S_DRIVER_OK;
			activate(mmio);
		}
		break;
	default:
		break;
	}
}

static void write_driver_features(struct virtio_mmio *mmio, uint32_t value)
{
	const unsigned shift = 32 * mmio->driver_features_page;

	if ((mmio->status & STATUS_STEPS) != (VIRTIO_CONFIG_S_ACKNOWLEDGE | VIRTIO_CONFIG_S_DRIVER))
		return;
	if (mmio->driver_features_page > 1)
		return;
	mmio->driver_features &= ~(0xffffffffULL << shift);
	mmio->driver_features |= (uint64_t)value << shift;
}

/* The queue that QueueSel names, or NULL if there is none. */
static struct virtio_mmio_queue *selected_queue(struct virtio_mmio *mmio)
{
	return mmio->queue_selected < mmio->device->ops->n_queues ? &mmio->queues[mmio->queue_selected] : NULL;
}

static void set_half(uint64_t *value, uint32_t half, bool is_high)
{
	const unsigned shift = is_high ? 32 : 0;

	*value = (*value & ~(0xffffffffULL << shift)) | (uint64_t)half << shift;
}

/* Queue registers may be written between FEATURES_OK and DRIVER_OK only; a ready queue keeps what it has. */
static void write_queue_register(struct virtio_mmio *mmio, uint64_t offset, uint32_t value)
{
	struct virtio_mmio_queue *queue = selected_queue(mmio);

	if (!queue || mmio->status != (STATUS_STEPS & ~VIRTIO_CONFIG_S_DRIVER_OK))
		return;
	if (offset == VIRTIO_MMIO_QUEUE_READY) {
		queue->ready = value & 1;
		return;
	}
	if (queue->ready)
		return;
	switch (offset) {
	case VIRTIO_MMIO_QUEUE_NUM:
		if (value > 0 && size_is_acceptable(mmio, value))
			queue->setup.size = (uint16_t)value;
		break;
	case VIRTIO_MMIO_QUEUE_DESC_LOW:
	case VIRTIO_MMIO_QUEUE_DESC_HIGH:
		set_half(&queue->setup.descriptors, value, offset == VIRTIO_MMIO_QUEUE_DESC_HIGH);
		break;
	case VIRTIO_MMIO_QUEUE_AVAIL_LOW:
	case VIRTIO_MMIO_QUEUE_AVAIL_HIGH:
		set_half(&queue->setup.available, value, offset == VIRTIO_MMIO_QUEUE_AVAIL_HIGH);
		break;
	case VIRTIO_MMIO_QUEUE_USED_LOW:
	case VIRTIO_MMIO_QUEUE_USED_HIGH:
		set_half(&queue->setup.used, value, offset == VIRTIO_MMIO_QUEUE_USED_HIGH);
		break;
	default:
		break;
	}
}

static void write_register(struct virtio_mmio *mmio, uint64_t offset, uint32_t value)
{
	switch (offset) {
	case VIRTIO_MMIO_DEVICE_FEATURES_SEL:
		mmio->device_features_page = value;
		break;
	case VIRTIO_MMIO_DRIVER_FEATURES_SEL:
		mmio->driver_features_page = value;
		break;
	case VIRTIO_MMIO_DRIVER_FEATURES:
		write_driver_features(mmio, value);
		break;
	case VIRTIO_MMIO_QUEUE_SEL:
		mmio->queue_selected = value;
		break;
	case VIRTIO_MMIO_STATUS:
		write_status(mmio, value);
		break;
	default:
		write_queue_register(mmio, offset, value);
		break;
	}
}

static uint32_t read_register(struct virtio_mmio *mmio, uint64_t offset)
{
	const struct virtio_mmio_queue *queue = selected_queue(mmio);

	switch (offset) {
	case VIRTIO_MMIO_MAGIC_VALUE:
		return MMIO_MAGIC;
	case VIRTIO_MMIO_VERSION:
		return MMIO_VERSION;
	case VIRTIO_MMIO_DEVICE_ID:
		return mmio->device->ops->id;
	case VIRTIO_MMIO_VENDOR_ID:
		return MMIO_VENDOR;
	case VIRTIO_MMIO_DEVICE_FEATURES:
		if (mmio->device_features_page > 1)
			return 0;
		return (uint32_t)(offered_features(mmio) >> (32 * mmio->device_features_page));
	case VIRTIO_MMIO_QUEUE_NUM_MAX:
		return queue ? mmio->device->ops->queue_size_max : 0;
	case VIRTIO_MMIO_QUEUE_READY:
		return queue && queue->ready;
	case VIRTIO_MMIO_STATUS:
		return mmio->status;
	case VIRTIO_MMIO_SHM_LEN_LOW:
	case VIRTIO_MMIO_SHM_LEN_HIGH:
	case VIRTIO_MMIO_SHM_BASE_LOW:
	case VIRTIO_MMIO_SHM_BASE_HIGH:
		return UINT32_MAX; /* no such region (virtio 1.2, 4.2.2.1) */
	case VIRTIO_MMIO_CONFIG_GENERATION:
		return mmio->config_generation;
	default:
		return 0;
	}
}

static void read_config(const struct virtio_device *device, uint64_t offset, uint8_t *data, unsigned length)
{
	memset(data, 0, length);
	if (offset < device->config_size && length <= device->config_size - offset)
		memcpy(data, (const uint8_t *)device->config + offset, length);
}

/* The registers of the busy path. True if the access is done. */
static bool access_without_lock(struct virtio_mmio *mmio, uint64_t offset, uint32_t *value, bool is_write)
{
	if (is_write && offset == VIRTIO_MMIO_QUEUE_NOTIFY) {
		eventfd_signal(mmio->kick_fd);
	} else if (is_write && offset == VIRTIO_MMIO_INTERRUPT_ACK) {
		__atomic_fetch_and(&mmio->interrupt_status, ~*value, __ATOMIC_SEQ_CST);
	} else if (!is_write && offset == VIRTIO_MMIO_INTERRUPT_STATUS) {
		*value = __atomic_load_n(&mmio->interrupt_status, __ATOMIC_SEQ_CST);
	} else {
		return false;
	}
	return true;
}

void virtio_mmio_access(void *opaque, uint64_t offset, uint8_t *data, unsigned length, bool is_write)
{
	struct virtio_mmio *mmio = opaque;
	uint32_t value = 0;

	if (offset >= CONFIG_OFFSET) {
		/* Constant, and no driver has a reason to write it. */
		if (!is_write)
			read_config(mmio->device, offset - CONFIG_OFFSET, data, length);
		return;
	}
	if (length != 4 || offset % 4) {
		log_warn_limited("%s: register access of %u bytes at 0x%x ignored", mmio->device->name, length,
				 (unsigned)offset);
		if (!is_write)
			memset(data, 0, length);
		return;
	}
	if (is_write)
		memcpy(&value, data, sizeof(value));
	value = le32toh(value);
	if (!access_without_lock(mmio, offset, &value, is_write)) {
		pthread_mutex_lock(&mmio->device->lock);
		if (is_write)
			write_register(mmio, offset, value);
		else
			value = read_register(mmio, offset);
		pthread_mutex_unlock(&mmio->device->lock);
	}
	if (!is_write) {
		value = htole32(value);
		memcpy(data, &value, sizeof(value));
	}
}

void virtio_mmio_kicked(void *opaque, uint32_t events)
{
	struct virtio_mmio *mmio = opaque;

	(void)events;
	pthread_mutex_lock(&mmio->device->lock);
	if (mmio->device->is_active)
		mmio->device->ops->serve(mmio->device);
	pthread_mutex_unlock(&mmio->device->lock);
}

/* ---- snapshots --------------------------------------------------------------------------------------------------- */

static void save_queue(const struct virtio_mmio_queue *queue, const struct virtqueue *vq, struct state_writer *writer)
{
	state_put_uint(writer, queue->ready, 1);
	state_put_uint(writer, queue->setup.size, 2);
	state_put_uint(writer, queue->setup.descriptors, 8);
	state_put_uint(writer, queue->setup.available, 8);
	state_put_uint(writer, queue->setup.used, 8);
	state_put_uint(writer, vq->next_available, 2);
	state_put_uint(writer, vq->next_used, 2);
	state_put_uint(writer, vq->interrupted_at, 2);
}

void virtio_mmio_save(const struct virtio_mmio *mmio, uint32_t instance, struct state_writer *writer)
{
	const struct virtio_device *device = mmio->device;

	state_section(writer, STATE_VIRTIO, instance);
	state_put_uint(writer, device->ops->id, 4);
	state_put_uint(writer, mmio->status, 4);
	state_put_uint(writer, mmio->device_features_page, 4);
	state_put_uint(writer, mmio->driver_features_page, 4);
	state_put_uint(writer, mmio->queue_selected, 4);
	state_put_uint(writer, mmio->config_generation, 4);
	state_put_uint(writer, __atomic_load_n(&mmio->interrupt_status, __ATOMIC_SEQ_CST), 4);
	state_put_uint(writer, mmio->driver_features, 8);
	state_put_uint(writer, device->is_active, 1);
	for (unsigned i = 0; i < device->ops->n_queues; i++)
		save_queue(&mmio->queues[i], &device->queues[i], writer);
	if (device->ops->save) {
		state_section(writer, STATE_VIRTIO_DEVICE, instance);
		device->ops->save(device, writer);
	}
}

static void restore_queue(struct virtio_mmio_queue *queue, struct virtqueue *vq, struct bytes *in)
{
	queue->ready = bytes_get_u8(in) & 1;
	queue->setup.size = bytes_get_u16(in);
	queue->setup.descriptors = bytes_get_u64(in);
	queue->setup.available = bytes_get_u64(in);
	queue->setup.used = bytes_get_u64(in);
	vq->next_available = bytes_get_u16(in);
	vq->next_used = bytes_get_u16(in);
	vq->interrupted_at = bytes_get_u16(in);
}

/* A driver that goes on with its start may activate the device: what it cannot have written must not wait for that. */
static bool registers_are_acceptable(const struct virtio_mmio *mmio)
{
	if ((mmio->status & VIRTIO_CONFIG_S_FEATURES_OK) && !features_are_acceptable(mmio))
		return false;
	for (unsigned i = 0; i < mmio->device->ops->n_queues; i++)
		if (!size_is_acceptable(mmio, mmio->queues[i].setup.size))
			return false;
	return true;
}

/* Like activate(), but the queues go on where they were. */
static int reactivate(struct virtio_mmio *mmio)
{
	struct virtio_device *device = mmio->device;
	const bool event_idx = mmio->driver_features & (1ULL << VIRTIO_RING_F_EVENT_IDX);

	if (mmio->status != STATUS_STEPS)
		return -EINVAL;
	for (unsigned i = 0; i < device->ops->n_queues; i++) {
		const struct virtqueue saved = device->queues[i];

		if (!mmio->queues[i].ready)
			continue;
		if (virtqueue_init(&device->queues[i], mmio->memory, &mmio->queues[i].setup, event_idx) < 0)
			return -EINVAL;
		device->queues[i].next_available = saved.next_available;
		device->queues[i].next_used = saved.next_used;
		device->queues[i].interrupted_at = saved.interrupted_at;
	}
	device->driver_features = mmio->driver_features;
	device->is_active = true;
	return 0;
}

int virtio_mmio_restore(struct virtio_mmio *mmio, uint32_t instance, struct state_reader *reader, struct error *err)
{
	struct virtio_device *device = mmio->device;
	struct bytes in = state_find(reader, STATE_VIRTIO, instance);
	bool is_active;

	if (bytes_get_u32(&in) != device->ops->id && !in.failed)
		return error_set(err, EINVAL, "foreign: its device %u is not %s", instance, device->name);
	mmio->status = bytes_get_u32(&in);
	mmio->device_features_page = bytes_get_u32(&in);
	mmio->driver_features_page = bytes_get_u32(&in);
	mmio->queue_selected = bytes_get_u32(&in);
	mmio->config_generation = bytes_get_u32(&in);
	mmio->interrupt_status = bytes_get_u32(&in);
	mmio->driver_features = bytes_get_u64(&in);
	is_active = bytes_get_u8(&in);
	for (unsigned i = 0; i < device->ops->n_queues; i++)
		restore_queue(&mmio->queues[i], &device->queues[i], &in);
	if (state_done(&in, device->name, err) < 0)
		return -err->code;
	if (!registers_are_acceptable(mmio) || (is_active && reactivate(mmio) < 0))
		return error_set(err, EINVAL, "damaged: the queues of %s are not within memory or not possible",
				 device->name);
	if (!device->ops->restore)
		return 0;
	in = state_find(reader, STATE_VIRTIO_DEVICE, instance);
	if (device->ops->restore(device, &in, err) < 0)
		return -err->code;
	return state_done(&in, device->name, err);
}

void virtio_mmio_restored(const struct virtio_mmio *mmio)
{
	if (!mmio->device->is_active)
		return;
	eventfd_signal(mmio->kick_fd);
	if (mmio->interrupt_status)
		eventfd_signal(mmio->interrupt_fd);
}
