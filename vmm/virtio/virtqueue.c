#include "vmm/virtio/virtqueue.h"

#include <endian.h>
#include <errno.h>
#include <linux/virtio_ring.h>
#include <string.h>

enum {
	DESCRIPTOR_SIZE = 16,
	USED_ELEMENT_SIZE = 8,
	RING_FLAGS = 0, /* offsets in the available and in the used ring */
	RING_INDEX = 2,
	RING_ENTRIES = 4,
};

struct descriptor {
	uint64_t address;
	uint32_t length;
	uint16_t flags, next;
};

static uint16_t load_le16(const uint8_t *from, int memory_order)
{
	const uint16_t *aligned = (const void *)from; /* virtqueue_init() checked the rings' alignment */

	return le16toh(__atomic_load_n(aligned, memory_order));
}

static void store_le16(uint8_t *to, uint16_t value, int memory_order)
{
	uint16_t *aligned = (void *)to;

	__atomic_store_n(aligned, htole16(value), memory_order);
}

static void store_le32(uint8_t *to, uint32_t value)
{
	uint32_t *aligned = (void *)to;

	__atomic_store_n(aligned, htole32(value), __ATOMIC_RELAXED);
}

/* Two loads of eight bytes, volatile, so that the compiler cannot go back to the guest's copy. */
static struct descriptor descriptor_load(const struct virtqueue *vq, uint16_t index)
{
	const volatile uint64_t *from = (const volatile void *)(vq->descriptors + (size_t)DESCRIPTOR_SIZE * index);
	uint64_t address = le64toh(from[0]);
	uint64_t rest = le64toh(from[1]);

	return (struct descriptor) { .address = address,
				     .length = (uint32_t)rest,
				     .flags = (uint16_t)(rest >> 32),
				     .next = (uint16_t)(rest >> 48) };
}

static uint8_t *ring_get(const struct guest_memory *memory, gpa_t gpa, uint64_t size, uint64_t alignment)
{
	return gpa % alignment ? NULL : guest_memory_get(memory, gpa, size);
}

int virtqueue_init(struct virtqueue *vq, const struct guest_memory *memory, const struct virtqueue_setup *setup,
		   bool event_idx)
{
	const uint64_t n = setup->size;

	*vq = (struct virtqueue) { .memory = memory, .setup = *setup, .event_idx = event_idx };
	if (n == 0 || n > VIRTQUEUE_SIZE_MAX || (n & (n - 1)))
		return -EINVAL;
	/* Sizes include used_event and avail_event behind the entries (virtio 1.2, 2.7). */
	vq->available = ring_get(memory, setup->available, 6 + 2 * n, 2);
	vq->used = ring_get(memory, setup->used, 6 + USED_ELEMENT_SIZE * n, 4);
	if (vq->available && vq->used)
		vq->descriptors = ring_get(memory, setup->descriptors, DESCRIPTOR_SIZE * n, 16);
	return vq->descriptors ? 0 : -EINVAL;
}

static int broken(struct virtqueue *vq, const char *why)
{
	vq->error = why;
	return -EPROTO;
}

static int chain_append(struct virtqueue *vq, struct virtqueue_chain *chain, const struct descriptor *d)
{
	const bool writable = d->flags & VRING_DESC_F_WRITE;
	void *host = guest_memory_get(vq->memory, d->address, d->length);

	if (d->flags & VRING_DESC_F_INDIRECT)
		return broken(vq, "an indirect descriptor, which was not offered");
	if (d->length == 0)
		return broken(vq, "an empty descriptor");
	if (!host)
		return broken(vq, "a descriptor outside of memory");
	if (!writable && chain->n_writable)
		return broken(vq, "a readable descriptor after a writable one");

	chain->segments[chain->n_readable + chain->n_writable] = (struct iovec) { host, d->length };
	if (writable) {
		chain->n_writable++;
		chain->writable_bytes += d->length;
	} else {
		chain->n_readable++;
		chain->readable_bytes += d->length;
	}
	/* virtio 1.2, 2.7.5.2 */
	if (chain->readable_bytes + chain->writable_bytes > UINT32_MAX)
		return broken(vq, "a chain of more than 4 GiB");
	return 0;
}

int virtqueue_pop(struct virtqueue *vq, struct virtqueue_chain *chain)
{
	uint16_t n_pending, index;
	const uint16_t mask = (uint16_t)(vq->setup.size - 1);

	if (!vq->descriptors)
		return 0;
	/* Acquire: pairs with the driver's barrier between its entries and the index. */
	n_pending = (uint16_t)(load_le16(vq->available + RING_INDEX, __ATOMIC_ACQUIRE) - vq->next_available);
	if (n_pending == 0)
		return 0;
	if (n_pending > vq->setup.size)
		return broken(vq, "an available index beyond the ring");

	index = load_le16(vq->available + RING_ENTRIES + 2UL * (vq->next_available & mask), __ATOMIC_RELAXED);
	chain->head = index;
	chain->n_readable = chain->n_writable = 0;
	chain->readable_bytes = chain->writable_bytes = 0;

	/* No chain is longer than the queue (virtio 1.2, 2.7.5.2), so one that loops ends here. */
	for (uint16_t steps = 0; steps < vq->setup.size; steps++) {
		struct descriptor d;
		int status;

		if (index >= vq->setup.size)
			return broken(vq, "a descriptor index beyond the table");
		d = descriptor_load(vq, index);
		status = chain_append(vq, chain, &d);
		if (status < 0)
			return status;
		if (!(d.flags & VRING_DESC_F_NEXT)) {
			vq->next_available++;
			return 1;
		}
		index = d.next;
	}
	return broken(vq, "a chain that loops");
}

void virtqueue_unpop(struct virtqueue *vq)
{
	vq->next_available--;
}

void virtqueue_push_together(struct virtqueue *vq, const struct virtqueue_used *used, unsigned n)
{
	for (unsigned i = 0; i < n; i++) {
		const uint16_t slot = (uint16_t)(vq->next_used & (vq->setup.size - 1));
		uint8_t *element = vq->used + RING_ENTRIES + (size_t)USED_ELEMENT_SIZE * slot;

		store_le32(element, used[i].head);
		store_le32(element + 4, used[i].written);
		vq->next_used++;
	}
	/* Release: the driver must see the elements, and the data, before the index. */
	store_le16(vq->used + RING_INDEX, vq->next_used, __ATOMIC_RELEASE);
}

void virtqueue_push(struct virtqueue *vq, const struct virtqueue_chain *chain, uint32_t written)
{
	const struct virtqueue_used used = { .head = chain->head, .written = written };

	virtqueue_push_together(vq, &used, 1);
}

bool virtqueue_needs_interrupt(struct virtqueue *vq)
{
	const uint16_t old = vq->interrupted_at;
	const uint16_t now = vq->next_used;
	uint16_t used_event;

	if (!vq->descriptors || old == now)
		return false;
	vq->interrupted_at = now;
	/* Full barrier: pairs with the driver's between writing used_event and reading the used index. */
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	if (!vq->event_idx)
		return !(load_le16(vq->available + RING_FLAGS, __ATOMIC_RELAXED) & VRING_AVAIL_F_NO_INTERRUPT);
	used_event = load_le16(vq->available + RING_ENTRIES + 2UL * vq->setup.size, __ATOMIC_RELAXED);
	/* virtio 1.2, 2.7.7.2: was used_event passed by what was pushed since we last asked? */
	return (uint16_t)(now - used_event - 1) < (uint16_t)(now - old);
}

static void store_available_event(struct virtqueue *vq, uint16_t index)
{
	if (vq->event_idx)
		store_le16(vq->used + RING_ENTRIES + (size_t)USED_ELEMENT_SIZE * vq->setup.size, index,
			   __ATOMIC_RELAXED);
}

uint16_t virtqueue_available_index(const struct virtqueue *vq)
{
	return vq->descriptors ? load_le16(vq->available + RING_INDEX, __ATOMIC_ACQUIRE) : 0;
}

uint16_t virtqueue_watch(struct virtqueue *vq)
{
	const uint16_t index = virtqueue_available_index(vq);

	if (vq->descriptors)
		store_available_event(vq, index);
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	return index;
}

bool virtqueue_rearm(struct virtqueue *vq)
{
	if (!vq->descriptors)
		return false;
	store_available_event(vq, vq->next_available);
	/* Full barrier: the driver writes its index, then reads avail_event; we do it the other way round. */
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	return load_le16(vq->available + RING_INDEX, __ATOMIC_RELAXED) != vq->next_available;
}

int virtqueue_chain_slice(const struct virtqueue_chain *chain, bool writable, uint64_t offset, uint64_t length,
			  struct iovec *segments)
{
	const struct iovec *from = writable ? chain->segments + chain->n_readable : chain->segments;
	const uint16_t n = writable ? chain->n_writable : chain->n_readable;
	int n_segments = 0;

	for (uint16_t i = 0; i < n && length > 0; i++) {
		size_t part;

		if (offset >= from[i].iov_len) {
			offset -= from[i].iov_len;
			continue;
		}
		part = from[i].iov_len - offset;
		if (part > length)
			part = length;
		segments[n_segments++] = (struct iovec) { (uint8_t *)from[i].iov_base + offset, part };
		length -= part;
		offset = 0;
	}
	return n_segments;
}

size_t virtqueue_chain_read(const struct virtqueue_chain *chain, uint64_t offset, void *data, size_t size)
{
	struct iovec segments[VIRTQUEUE_SIZE_MAX];
	int n_segments = virtqueue_chain_slice(chain, false, offset, size, segments);
	size_t done = 0;

	for (int i = 0; i < n_segments; i++) {
		memcpy((uint8_t *)data + done, segments[i].iov_base, segments[i].iov_len);
		done += segments[i].iov_len;
	}
	return done;
}

size_t virtqueue_chain_write(const struct virtqueue_chain *chain, uint64_t offset, const void *data, size_t size)
{
	struct iovec segments[VIRTQUEUE_SIZE_MAX];
	int n_segments = virtqueue_chain_slice(chain, true, offset, size, segments);
	size_t done = 0;

	for (int i = 0; i < n_segments; i++) {
		memcpy(segments[i].iov_base, (const uint8_t *)data + done, segments[i].iov_len);
		done += segments[i].iov_len;
	}
	return done;
}
