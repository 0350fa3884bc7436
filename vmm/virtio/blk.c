#include "vmm/virtio/blk.h"

#include "common/cleanup.h"
#include "common/log.h"
#include "vmm/host_file.h"

#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/virtio_blk.h>
#include <linux/virtio_ids.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>

enum {
	SECTOR_SIZE = 512,
	HEADER_SIZE = 16,
	QUEUE_SIZE = 128,
	REQUEST_BYTES_MAX = 16 << 20, /* far above what drivers send; bounds the time of one request */
	PASS_BYTES_MAX = 4 << 20,     /* then other devices have their turn */
};

struct blk {
	struct virtio_device device; /* first: the table of operations casts */
	struct virtio_blk_config config;
	int fd;
	bool is_read_only;
	uint64_t capacity; /* sectors */
};

/* Copied out of guest memory once; only this is looked at. */
struct blk_request {
	uint32_t type;
	uint64_t sector;
	uint64_t data_bytes;
	bool is_read; /* the device writes guest memory */
};

/* All of [position, position + bytes), in as many calls as it takes. 0 or -errno. */
static int transfer(int fd, const struct virtqueue_chain *chain, bool is_read, uint64_t bytes, uint64_t position)
{
	struct iovec segments[VIRTQUEUE_SIZE_MAX];
	/* Data lies behind the header of a write and at the start of what a read fills. */
	const uint64_t chain_offset = is_read ? 0 : HEADER_SIZE;
	uint64_t done = 0;

	while (done < bytes) {
		int n = virtqueue_chain_slice(chain, is_read, chain_offset + done, bytes - done, segments);
		ssize_t moved = is_read ? preadv(fd, segments, n, (off_t)(position + done))
					: pwritev(fd, segments, n, (off_t)(position + done));

		if (moved < 0 && errno == EINTR)
			continue;
		if (moved < 0)
			return -errno;
		if (moved == 0)
			return -EIO; /* the file is shorter than it was */
		done += (uint64_t)moved;
	}
	return 0;
}

static bool is_within_disk(const struct blk *blk, const struct blk_request *request)
{
	return request->data_bytes % SECTOR_SIZE == 0 && request->data_bytes <= REQUEST_BYTES_MAX &&
	       request->sector <= blk->capacity && request->data_bytes / SECTOR_SIZE <= blk->capacity - request->sector;
}

static uint8_t move_data(struct blk *blk, const struct virtqueue_chain *chain, const struct blk_request *request)
{
	int status;

	if (!is_within_disk(blk, request) || (!request->is_read && blk->is_read_only))
		return VIRTIO_BLK_S_IOERR;
	status = transfer(blk->fd, chain, request->is_read, request->data_bytes, request->sector * SECTOR_SIZE);
	if (status < 0) {
		log_warn_limited("%s: sector %llu: %s", blk->device.name, (unsigned long long)request->sector,
				 strerror(-status));
		return VIRTIO_BLK_S_IOERR;
	}
	return VIRTIO_BLK_S_OK;
}

static uint8_t flush(const struct blk *blk)
{
	if (!blk->is_read_only && fdatasync(blk->fd) < 0) {
		log_warn_limited("%s: flush: %s", blk->device.name, strerror(errno));
		return VIRTIO_BLK_S_IOERR;
	}
	return VIRTIO_BLK_S_OK;
}

/* Does the request and returns its status byte; *written is the number of bytes put into the chain before it. */
static uint8_t execute(struct blk *blk, const struct virtqueue_chain *chain, struct blk_request *request,
		       uint32_t *written)
{
	uint8_t status;
	char id[VIRTIO_BLK_ID_BYTES] = { 0 };

	switch (request->type) {
	case VIRTIO_BLK_T_IN:
		request->is_read = true;
		request->data_bytes = chain->writable_bytes - 1;
		status = move_data(blk, chain, request);
		if (status == VIRTIO_BLK_S_OK)
			*written = (uint32_t)request->data_bytes;
		return status;
	case VIRTIO_BLK_T_OUT:
		request->data_bytes = chain->readable_bytes - HEADER_SIZE;
		return move_data(blk, chain, request);
	case VIRTIO_BLK_T_FLUSH:
		return flush(blk);
	case VIRTIO_BLK_T_GET_ID:
		if (chain->writable_bytes - 1 < sizeof(id))
			return VIRTIO_BLK_S_IOERR;
		snprintf(id, sizeof(id), "%s", blk->device.name);
		*written = (uint32_t)virtqueue_chain_write(chain, 0, id, sizeof(id));
		return VIRTIO_BLK_S_OK;
	default:
		return VIRTIO_BLK_S_UNSUPP;
	}
}

/* Returns the bytes moved, for the pass's budget. */
static uint64_t serve_chain(struct blk *blk, const struct virtqueue_chain *chain)
{
	struct virtio_blk_outhdr header;
	struct blk_request request = { 0 };
	uint32_t written = 0;
	uint8_t status;

	if (virtqueue_chain_read(chain, 0, &header, sizeof(header)) < sizeof(header)) {
		virtio_device_break(&blk->device, 0, "a request shorter than its header");
		return 0;
	}
	if (chain->writable_bytes == 0) {
		virtio_device_break(&blk->device, 0, "a request without room for its status");
		return 0;
	}
	request.type = le32toh(header.type);
	request.sector = le64toh(header.sector);
	status = execute(blk, chain, &request, &written);
	/* The status is the last writable byte. What lies between it and short data counts as not written. */
	virtqueue_chain_write(chain, chain->writable_bytes - 1, &status, 1);
	if (written + 1 < chain->writable_bytes)
		written = 0;
	virtqueue_push(&blk->device.queues[0], chain, written + 1);
	return request.data_bytes;
}

static void blk_serve(struct virtio_device *device)
{
	struct blk *blk = (struct blk *)device;
	struct virtqueue_chain chain;
	uint64_t budget = PASS_BYTES_MAX;

	do {
		while (budget > 0 && virtio_device_pop(device, 0, &chain)) {
			uint64_t cost = serve_chain(blk, &chain) + SECTOR_SIZE;

			budget -= cost < budget ? cost : budget;
			virtio_device_complete(device, 0);
		}
	} while (device->is_active && budget > 0 && virtqueue_rearm(&device->queues[0]));
	if (device->is_active && budget == 0)
		device->transport_ops->serve_again(device->transport);
}

static void blk_destroy(struct virtio_device *device)
{
	struct blk *blk = (struct blk *)device;

	close(blk->fd);
	free(blk);
}

/* The content is not the VM's to save: a snapshot is restored with a disk of the same size, and who does so names it. */
static void blk_save(const struct virtio_device *device, struct state_writer *writer)
{
	const struct blk *blk = (const struct blk *)device;

	state_put_uint(writer, blk->capacity, 8);
	state_put_uint(writer, blk->is_read_only, 1);
}

static int blk_restore(struct virtio_device *device, struct bytes *in, struct error *err)
{
	const struct blk *blk = (const struct blk *)device;
	const uint64_t capacity = bytes_get_u64(in);
	const bool is_read_only = bytes_get_u8(in);

	if (in->failed || (capacity == blk->capacity && is_read_only == blk->is_read_only))
		return 0;
	return error_set(err, EINVAL, "foreign: its disk %s has %llu sectors%s, the one given has %llu%s", device->name,
			 (unsigned long long)capacity, is_read_only ? ", read-only" : "",
			 (unsigned long long)blk->capacity, blk->is_read_only ? ", read-only" : "");
}

static const struct virtio_device_ops blk_ops = {
	.id = VIRTIO_ID_BLOCK,
	.n_queues = 1,
	.queue_size_max = QUEUE_SIZE,
	.serve = blk_serve,
	.save = blk_save,
	.restore = blk_restore,
	.destroy = blk_destroy,
};

struct virtio_device *virtio_blk_create_over(int fd, uint64_t capacity, bool is_read_only, unsigned index)
{
	struct blk *blk = calloc(1, sizeof(*blk));

	if (!blk) {
		close(fd);
		return NULL;
	}
	blk->fd = fd;
	blk->is_read_only = is_read_only;
	blk->capacity = capacity;
	blk->config.capacity = htole64(capacity);
	blk->config.seg_max = htole32(QUEUE_SIZE - 2); /* header and status take two of the chain */
	blk->config.blk_size = htole32(SECTOR_SIZE);

	blk->device.ops = &blk_ops;
	blk->device.features = 1ULL << VIRTIO_BLK_F_SEG_MAX | 1ULL << VIRTIO_BLK_F_BLK_SIZE;
	blk->device.features |= is_read_only ? 1ULL << VIRTIO_BLK_F_RO : 1ULL << VIRTIO_BLK_F_FLUSH;
	blk->device.config = &blk->config;
	blk->device.config_size = sizeof(blk->config);
	snprintf(blk->device.name, sizeof(blk->device.name), "blk%u", index);
	return &blk->device;
}

struct virtio_device *virtio_blk_create(const char *path, bool is_read_only, unsigned index, struct error *err)
{
	AUTO_FD int fd = host_file_open(path, (is_read_only ? O_RDONLY : O_RDWR) | O_CLOEXEC);
	struct virtio_device *device;
	off_t size;

	if (fd < 0) {
		error_set(err, errno, "cannot open disk %s: %s", path, strerror(errno));
		return NULL;
	}
	if (!is_read_only && flock(fd, LOCK_EX | LOCK_NB) < 0) {
		error_set(err, errno, "disk %s is in use by another VM (or cannot be locked): %s; share it as %s,ro",
			  path, strerror(errno), path);
		return NULL;
	}
	size = lseek(fd, 0, SEEK_END);
	if (size <= 0 || size % SECTOR_SIZE) {
		error_set(err, EINVAL, "disk %s: its size must be a multiple of %d bytes, and not 0", path,
			  SECTOR_SIZE);
		return NULL;
	}
	device = virtio_blk_create_over(steal_fd(&fd), (uint64_t)size / SECTOR_SIZE, is_read_only, index);
	if (!device)
		error_set(err, ENOMEM, "disk %s: out of memory", path);
	return device;
}
