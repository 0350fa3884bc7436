#include "tests/unit/test_ring.h"
#include "vmm/event_loop.h"
#include "vmm/virtio/blk.h"
#include "vmm/virtio/mmio.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/virtio_blk.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

enum {
	SECTORS = 16,
	HEADER = 0x10000, /* guest addresses */
	STATUS = 0x11000,
	DATA = 0x20000,
};

struct fixture {
	struct guest_memory memory;
	struct virtio_mmio mmio;
	struct test_ring ring;
	char path[32];
	char broken[200];
};

static void on_broken(void *opaque, const char *what)
{
	struct fixture *f = opaque;

	snprintf(f->broken, sizeof(f->broken), "%s", what);
}

static void open_disk(struct fixture *f, bool is_read_only)
{
	struct error err = { 0 };
	struct virtio_device *device = virtio_blk_create(f->path, is_read_only, 0, &err);

	assert_non_null(device);
	virtio_mmio_init(&f->mmio, device, &f->memory, eventfd(0, EFD_NONBLOCK), eventfd(0, EFD_NONBLOCK), on_broken,
			 f);
	test_ring_init(&f->ring, &f->memory, 0x1000, 128);
	assert_int_equal(virtqueue_init(&device->queues[0], &f->memory, &f->ring.setup, true), 0);
	device->is_active = true;
}

static void close_disk(struct fixture *f)
{
	close(f->mmio.kick_fd);
	close(f->mmio.interrupt_fd);
	virtio_mmio_fini(&f->mmio);
}

static int setup(void **state)
{
	static struct fixture f;
	uint8_t sector[512];
	int fd;

	memset(&f, 0, sizeof(f));
	snprintf(f.path, sizeof(f.path), "/tmp/blk-XXXXXX");
	fd = mkstemp(f.path);
	assert_true(fd >= 0);
	for (int i = 0; i < SECTORS; i++) {
		memset(sector, 'A' + i, sizeof(sector));
		assert_int_equal(write(fd, sector, sizeof(sector)), sizeof(sector));
	}
	close(fd);
	assert_int_equal(guest_memory_init(&f.memory, TEST_MEMORY_SIZE), 0);
	open_disk(&f, false);
	*state = &f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	close_disk(f);
	guest_memory_fini(&f->memory);
	unlink(f->path);
	return 0;
}

static void put_header(struct fixture *f, uint32_t type, uint64_t sector)
{
	const struct virtio_blk_outhdr header = { .type = type, .sector = sector };

	memcpy(test_memory(&f->ring, HEADER, sizeof(header)), &header, sizeof(header));
	*(uint8_t *)test_memory(&f->ring, STATUS, 1) = 0xee;
}

/* Returns the status byte; *written is what the device says it wrote. */
static uint8_t request(struct fixture *f, uint32_t type, uint64_t sector, uint32_t length, uint32_t *written)
{
	const bool is_write = type == VIRTIO_BLK_T_OUT;
	struct test_segment segments[3] = { { HEADER, 16, 0 },
					    { DATA, length, is_write ? 0 : VRING_DESC_F_WRITE },
					    { STATUS, 1, VRING_DESC_F_WRITE } };
	uint32_t head = 0;

	put_header(f, type, sector);
	if (length == 0)
		segments[1] = segments[2];
	test_ring_offer_chain(&f->ring, segments, length ? 3 : 2);
	virtio_mmio_kicked(&f->mmio, 0);
	assert_true(test_ring_take(&f->ring, &head, written));
	return *(uint8_t *)test_memory(&f->ring, STATUS, 1);
}

static void sectors_are_read(void **state)
{
	struct fixture *f = *state;
	uint32_t written = 0;
	const uint8_t *data = test_memory(&f->ring, DATA, 1024);

	assert_int_equal(request(f, VIRTIO_BLK_T_IN, 3, 1024, &written), VIRTIO_BLK_S_OK);
	assert_int_equal(written, 1025);
	assert_int_equal(data[0], 'D');
	assert_int_equal(data[511], 'D');
	assert_int_equal(data[512], 'E');
}

static void data_may_lie_in_pieces_and_share_the_status_segment(void **state)
{
	struct fixture *f = *state;
	/* 512 bytes of data as 100 + 412, and the status right behind it in the same segment. */
	const struct test_segment segments[] = { { HEADER, 7, 0 },
						 { HEADER + 7, 9, 0 },
						 { DATA, 100, VRING_DESC_F_WRITE },
						 { DATA + 0x1000, 413, VRING_DESC_F_WRITE } };
	uint32_t head = 0, written = 0;

	put_header(f, VIRTIO_BLK_T_IN, 1);
	test_ring_offer_chain(&f->ring, segments, 4);
	virtio_mmio_kicked(&f->mmio, 0);
	assert_true(test_ring_take(&f->ring, &head, &written));
	assert_int_equal(written, 513);
	assert_int_equal(*(uint8_t *)test_memory(&f->ring, DATA + 99, 1), 'B');
	assert_int_equal(*(uint8_t *)test_memory(&f->ring, DATA + 0x1000 + 411, 1), 'B');
	assert_int_equal(*(uint8_t *)test_memory(&f->ring, DATA + 0x1000 + 412, 1), VIRTIO_BLK_S_OK);
}

static void sectors_are_written_and_flushed(void **state)
{
	struct fixture *f = *state;
	uint32_t written = 0;
	uint8_t byte;
	int fd;

	memset(test_memory(&f->ring, DATA, 512), 'z', 512);
	assert_int_equal(request(f, VIRTIO_BLK_T_OUT, 15, 512, &written), VIRTIO_BLK_S_OK);
	assert_int_equal(written, 1);
	assert_int_equal(request(f, VIRTIO_BLK_T_FLUSH, 0, 0, &written), VIRTIO_BLK_S_OK);
	fd = open(f->path, O_RDONLY);
	assert_int_equal(pread(fd, &byte, 1, 15L * 512), 1);
	assert_int_equal(byte, 'z');
	assert_int_equal(lseek(fd, 0, SEEK_END), SECTORS * 512);
	close(fd);
}

static void nothing_beyond_the_disk_is_touched(void **state)
{
	static const struct {
		uint64_t sector;
		uint32_t length;
	} wrong[] = {
		{ SECTORS, 512 },
		{ SECTORS - 1, 1024 },
		{ UINT64_MAX, 512 },
		{ UINT64_MAX / 512, 1024 },
		{ UINT64_MAX / 512 + 1, 512 },
		{ 0, (SECTORS + 1) * 512 },
		{ 0, 100 },
		{ 0, 513 },
	};
	struct fixture *f = *state;
	uint32_t written = 0;

	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		assert_int_equal(request(f, VIRTIO_BLK_T_IN, wrong[i].sector, wrong[i].length, &written),
				 VIRTIO_BLK_S_IOERR);
		assert_int_equal(written, 1);
		assert_int_equal(request(f, VIRTIO_BLK_T_OUT, wrong[i].sector, wrong[i].length, &written),
				 VIRTIO_BLK_S_IOERR);
	}
	assert_string_equal(f->broken, "");
}

static void a_read_only_disk_is_not_written(void **state)
{
	struct fixture *f = *state;
	uint32_t written = 0;

	close_disk(f);
	open_disk(f, true);
	assert_true(f->mmio.device->features & 1 << VIRTIO_BLK_F_RO);
	assert_int_equal(request(f, VIRTIO_BLK_T_OUT, 0, 512, &written), VIRTIO_BLK_S_IOERR);
	assert_int_equal(request(f, VIRTIO_BLK_T_IN, 0, 512, &written), VIRTIO_BLK_S_OK);
	assert_int_equal(*(uint8_t *)test_memory(&f->ring, DATA, 1), 'A');
}

static void a_disk_that_shrank_gives_errors(void **state)
{
	struct fixture *f = *state;
	uint32_t written = 0;

	assert_int_equal(truncate(f->path, 512), 0);
	assert_int_equal(request(f, VIRTIO_BLK_T_IN, 0, 1024, &written), VIRTIO_BLK_S_IOERR);
}

static void it_tells_its_name(void **state)
{
	struct fixture *f = *state;
	uint32_t written = 0;

	assert_int_equal(request(f, VIRTIO_BLK_T_GET_ID, 0, 20, &written), VIRTIO_BLK_S_OK);
	assert_int_equal(written, 21);
	assert_string_equal(test_memory(&f->ring, DATA, 20), "blk0");
	assert_int_equal(request(f, VIRTIO_BLK_T_GET_ID, 0, 19, &written), VIRTIO_BLK_S_IOERR);
}

static void what_it_does_not_know_it_says(void **state)
{
	struct fixture *f = *state;
	uint32_t written = 0;

	assert_int_equal(request(f, VIRTIO_BLK_T_DISCARD, 0, 512, &written), VIRTIO_BLK_S_UNSUPP);
	assert_int_equal(request(f, 0xffffffff, 0, 512, &written), VIRTIO_BLK_S_UNSUPP);
}

static void a_cut_header_breaks_the_device(void **state)
{
	struct fixture *f = *state;
	const struct test_segment segments[] = { { HEADER, 15, 0 }, { STATUS, 1, VRING_DESC_F_WRITE } };

	test_ring_offer_chain(&f->ring, segments, 2);
	virtio_mmio_kicked(&f->mmio, 0);
	assert_string_equal(f->broken, "blk0: the driver broke queue 0: a request shorter than its header");
}

static void no_room_for_the_status_breaks_the_device(void **state)
{
	struct fixture *f = *state;
	const struct test_segment segment = { HEADER, 16, 0 };

	put_header(f, VIRTIO_BLK_T_FLUSH, 0);
	test_ring_offer_chain(&f->ring, &segment, 1);
	virtio_mmio_kicked(&f->mmio, 0);
	assert_string_equal(f->broken, "blk0: the driver broke queue 0: a request without room for its status");
}

static void a_second_writer_is_kept_out(void **state)
{
	struct fixture *f = *state;
	struct error err = { 0 };

	assert_null(virtio_blk_create(f->path, false, 1, &err));
	assert_non_null(strstr(err.text, "in use by another VM"));
}

static void files_that_are_no_disks_are_refused(void **state)
{
	struct fixture *f = *state;
	struct error err = { 0 };

	assert_null(virtio_blk_create("/no/such/file", true, 1, &err));
	assert_int_equal(err.code, ENOENT);
	assert_int_equal(truncate(f->path, 1000), 0);
	assert_null(virtio_blk_create(f->path, true, 1, &err));
	assert_non_null(strstr(err.text, "multiple of 512"));
	assert_int_equal(truncate(f->path, 0), 0);
	assert_null(virtio_blk_create(f->path, true, 1, &err));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
		TEST(sectors_are_read),
		TEST(data_may_lie_in_pieces_and_share_the_status_segment),
		TEST(sectors_are_written_and_flushed),
		TEST(nothing_beyond_the_disk_is_touched),
		TEST(a_read_only_disk_is_not_written),
		TEST(a_disk_that_shrank_gives_errors),
		TEST(it_tells_its_name),
		TEST(what_it_does_not_know_it_says),
		TEST(a_cut_header_breaks_the_device),
		TEST(no_room_for_the_status_breaks_the_device),
		TEST(a_second_writer_is_kept_out),
		TEST(files_that_are_no_disks_are_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
