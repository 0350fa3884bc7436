#include "tests/unit/test_ring.h"
#include "vmm/event_loop.h"
#include "vmm/virtio/mmio.h"

#include <linux/virtio_config.h>
#include <linux/virtio_mmio.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

enum {
	N_QUEUES = 2,
	QUEUE_SIZE_MAX = 16,
	ACKNOWLEDGED = VIRTIO_CONFIG_S_ACKNOWLEDGE,
	DRIVER = ACKNOWLEDGED | VIRTIO_CONFIG_S_DRIVER,
	FEATURES_OK = DRIVER | VIRTIO_CONFIG_S_FEATURES_OK,
	DRIVER_OK = FEATURES_OK | VIRTIO_CONFIG_S_DRIVER_OK,
};

/* A device that gives back each chain of queue 0 and breaks at the first of queue 1. */
struct echo {
	struct virtio_device device;
	unsigned n_served, n_resets;
};

static const uint8_t config[6] = { 1, 2, 3, 4, 5, 6 };

static void echo_serve(struct virtio_device *device)
{
	struct echo *echo = (struct echo *)device;
	struct virtqueue_chain chain;

	echo->n_served++;
	while (virtio_device_pop(device, 0, &chain))
		virtqueue_push(&device->queues[0], &chain, 0);
	virtio_device_complete(device, 0);
	if (virtio_device_pop(device, 1, &chain))
		virtio_device_break(device, 1, "just so");
}

static void echo_reset(struct virtio_device *device)
{
	((struct echo *)device)->n_resets++;
}

static void echo_destroy(struct virtio_device *device)
{
	free(device);
}

static const struct virtio_device_ops echo_ops = {
	.id = 42,
	.n_queues = N_QUEUES,
	.queue_size_max = QUEUE_SIZE_MAX,
	.serve = echo_serve,
	.reset = echo_reset,
	.destroy = echo_destroy,
};

struct fixture {
	struct guest_memory memory;
	struct virtio_mmio mmio;
	struct echo *echo;
	struct test_ring rings[N_QUEUES];
	char broken[200];
	unsigned n_broken;
};

static void on_broken(void *opaque, const char *what)
{
	struct fixture *f = opaque;

	snprintf(f->broken, sizeof(f->broken), "%s", what);
	f->n_broken++;
}

static int setup(void **state)
{
	static struct fixture f;

	memset(&f, 0, sizeof(f));
	f.echo = calloc(1, sizeof(*f.echo));
	f.echo->device = (struct virtio_device) {
		.ops = &echo_ops, .name = "echo", .features = 1 << 3, .config = config, .config_size = sizeof(config)
	};
	assert_int_equal(guest_memory_init(&f.memory, TEST_MEMORY_SIZE), 0);
	virtio_mmio_init(&f.mmio, &f.echo->device, &f.memory, eventfd(0, EFD_NONBLOCK), eventfd(0, EFD_NONBLOCK),
			 on_broken, &f);
	for (unsigned i = 0; i < N_QUEUES; i++)
		test_ring_init(&f.rings[i], &f.memory, 0x1000 + i * 0x8000, QUEUE_SIZE_MAX);
	*state = &f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	close(f->mmio.kick_fd);
	close(f->mmio.interrupt_fd);
	virtio_mmio_fini(&f->mmio);
	guest_memory_fini(&f->memory);
	return 0;
}

static void write32(struct fixture *f, uint64_t offset, uint32_t value)
{
	virtio_mmio_access(&f->mmio, offset, (uint8_t *)&value, 4, true);
}

static uint32_t read32(struct fixture *f, uint64_t offset)
{
	uint32_t value = 0xdeadbeef;

	virtio_mmio_access(&f->mmio, offset, (uint8_t *)&value, 4, false);
	return value;
}

static uint32_t set_status(struct fixture *f, uint32_t status)
{
	write32(f, VIRTIO_MMIO_STATUS, status);
	return read32(f, VIRTIO_MMIO_STATUS);
}

static void set_features(struct fixture *f, uint64_t features)
{
	write32(f, VIRTIO_MMIO_DRIVER_FEATURES_SEL, 0);
	write32(f, VIRTIO_MMIO_DRIVER_FEATURES, (uint32_t)features);
	write32(f, VIRTIO_MMIO_DRIVER_FEATURES_SEL, 1);
	write32(f, VIRTIO_MMIO_DRIVER_FEATURES, (uint32_t)(features >> 32));
}

static void negotiate(struct fixture *f)
{
	set_status(f, ACKNOWLEDGED);
	set_status(f, DRIVER);
	set_features(f, 1ULL << VIRTIO_F_VERSION_1 | 1ULL << VIRTIO_RING_F_EVENT_IDX);
	assert_int_equal(set_status(f, FEATURES_OK), FEATURES_OK);
}

static void set_queue(struct fixture *f, uint32_t queue, const struct virtqueue_setup *s)
{
	write32(f, VIRTIO_MMIO_QUEUE_SEL, queue);
	write32(f, VIRTIO_MMIO_QUEUE_NUM, s->size);
	write32(f, VIRTIO_MMIO_QUEUE_DESC_LOW, (uint32_t)s->descriptors);
	write32(f, VIRTIO_MMIO_QUEUE_DESC_HIGH, (uint32_t)(s->descriptors >> 32));
	write32(f, VIRTIO_MMIO_QUEUE_AVAIL_LOW, (uint32_t)s->available);
	write32(f, VIRTIO_MMIO_QUEUE_AVAIL_HIGH, (uint32_t)(s->available >> 32));
	write32(f, VIRTIO_MMIO_QUEUE_USED_LOW, (uint32_t)s->used);
	write32(f, VIRTIO_MMIO_QUEUE_USED_HIGH, (uint32_t)(s->used >> 32));
	write32(f, VIRTIO_MMIO_QUEUE_READY, 1);
}

static void bring_up(struct fixture *f)
{
	negotiate(f);
	for (unsigned i = 0; i < N_QUEUES; i++)
		set_queue(f, i, &f->rings[i].setup);
	assert_int_equal(set_status(f, DRIVER_OK), DRIVER_OK);
}

static uint64_t take_count(int fd)
{
	uint64_t count = 0;

	return read(fd, &count, sizeof(count)) == sizeof(count) ? count : 0;
}

static void offer(struct fixture *f, unsigned queue)
{
	const struct test_segment segment = { 0x100000, 16, 0 };

	test_ring_offer_chain(&f->rings[queue], &segment, 1);
}

static void identifies_itself_as_a_modern_device(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(read32(f, VIRTIO_MMIO_MAGIC_VALUE), 0x74726976);
	assert_int_equal(read32(f, VIRTIO_MMIO_VERSION), 2);
	assert_int_equal(read32(f, VIRTIO_MMIO_DEVICE_ID), 42);
	assert_int_equal(read32(f, VIRTIO_MMIO_SHM_LEN_LOW), 0xffffffff);
	write32(f, VIRTIO_MMIO_DEVICE_FEATURES_SEL, 0);
	assert_int_equal(read32(f, VIRTIO_MMIO_DEVICE_FEATURES), 1 << 3 | 1 << VIRTIO_RING_F_EVENT_IDX);
	write32(f, VIRTIO_MMIO_DEVICE_FEATURES_SEL, 1);
	assert_int_equal(read32(f, VIRTIO_MMIO_DEVICE_FEATURES), 1);
	write32(f, VIRTIO_MMIO_DEVICE_FEATURES_SEL, 0xffffffff);
	assert_int_equal(read32(f, VIRTIO_MMIO_DEVICE_FEATURES), 0);
}

static void a_driver_brings_it_up_and_gets_its_buffers_back(void **state)
{
	struct fixture *f = *state;
	uint32_t head = 0, written = 0;

	bring_up(f);
	assert_true(take_count(f->mmio.kick_fd) > 0); /* a notification may have come too early */
	offer(f, 0);
	write32(f, VIRTIO_MMIO_QUEUE_NOTIFY, 0);
	assert_true(take_count(f->mmio.kick_fd) > 0);
	virtio_mmio_kicked(&f->mmio, 0);
	assert_true(test_ring_take(&f->rings[0], &head, &written));
	assert_int_equal(read32(f, VIRTIO_MMIO_INTERRUPT_STATUS), VIRTIO_MMIO_INT_VRING);
	assert_true(take_count(f->mmio.interrupt_fd) > 0);
	write32(f, VIRTIO_MMIO_INTERRUPT_ACK, VIRTIO_MMIO_INT_VRING);
	assert_int_equal(read32(f, VIRTIO_MMIO_INTERRUPT_STATUS), 0);
}

static void status_goes_up_one_step_at_a_time(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(set_status(f, DRIVER_OK), 0);
	assert_int_equal(set_status(f, DRIVER), 0);
	assert_int_equal(set_status(f, VIRTIO_CONFIG_S_DRIVER), 0);
	assert_int_equal(set_status(f, ACKNOWLEDGED), ACKNOWLEDGED);
	assert_int_equal(set_status(f, DRIVER), DRIVER);
	assert_int_equal(set_status(f, DRIVER | VIRTIO_CONFIG_S_DRIVER_OK), DRIVER);
	assert_int_equal(set_status(f, ACKNOWLEDGED), DRIVER); /* and never down */
	assert_int_equal(set_status(f, 0x30), DRIVER);
}

static void features_without_version_1_are_refused(void **state)
{
	struct fixture *f = *state;

	set_status(f, ACKNOWLEDGED);
	set_status(f, DRIVER);
	set_features(f, 1 << 3);
	assert_int_equal(set_status(f, FEATURES_OK), DRIVER);
}

static void features_that_were_not_offered_are_refused(void **state)
{
	struct fixture *f = *state;

	set_status(f, ACKNOWLEDGED);
	set_status(f, DRIVER);
	set_features(f, 1ULL << VIRTIO_F_VERSION_1 | 1ULL << VIRTIO_RING_F_INDIRECT_DESC);
	assert_int_equal(set_status(f, FEATURES_OK), DRIVER);
	set_features(f, 1ULL << VIRTIO_F_VERSION_1);
	assert_int_equal(set_status(f, FEATURES_OK), FEATURES_OK);
	/* Too late. */
	set_features(f, 0);
	assert_true(f->mmio.driver_features == 1ULL << VIRTIO_F_VERSION_1);
}

static void queue_registers_are_frozen_before_features_and_after_driver_ok(void **state)
{
	struct fixture *f = *state;

	set_queue(f, 0, &f->rings[0].setup);
	assert_int_equal(read32(f, VIRTIO_MMIO_QUEUE_READY), 0);
	bring_up(f);
	write32(f, VIRTIO_MMIO_QUEUE_SEL, 0);
	write32(f, VIRTIO_MMIO_QUEUE_READY, 0);
	write32(f, VIRTIO_MMIO_QUEUE_NUM, 4);
	write32(f, VIRTIO_MMIO_QUEUE_DESC_LOW, 0xd0000000);
	assert_int_equal(read32(f, VIRTIO_MMIO_QUEUE_READY), 1);
	assert_int_equal(f->mmio.queues[0].setup.size, QUEUE_SIZE_MAX);
	assert_int_equal(f->echo->device.queues[0].setup.size, QUEUE_SIZE_MAX);
	assert_int_equal(f->mmio.queues[0].setup.descriptors, f->rings[0].setup.descriptors);
}

static void queue_sizes_that_are_no_power_of_two_are_not_taken(void **state)
{
	static const uint32_t bad[] = { 0, 3, 15, 32, 0x10000, 0x80000000, 0xffffffff };
	struct fixture *f = *state;

	negotiate(f);
	write32(f, VIRTIO_MMIO_QUEUE_SEL, 0);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		write32(f, VIRTIO_MMIO_QUEUE_NUM, bad[i]);
		assert_int_equal(f->mmio.queues[0].setup.size, 0);
	}
	write32(f, VIRTIO_MMIO_QUEUE_NUM, 8);
	assert_int_equal(f->mmio.queues[0].setup.size, 8);
}

static void queues_that_do_not_exist_read_as_absent(void **state)
{
	static const uint32_t absent[] = { N_QUEUES, VIRTIO_QUEUES_MAX, 0xffff, 0xffffffff };
	struct fixture *f = *state;

	negotiate(f);
	for (size_t i = 0; i < sizeof(absent) / sizeof(absent[0]); i++) {
		set_queue(f, absent[i], &f->rings[0].setup);
		assert_int_equal(read32(f, VIRTIO_MMIO_QUEUE_NUM_MAX), 0);
		assert_int_equal(read32(f, VIRTIO_MMIO_QUEUE_READY), 0);
	}
	write32(f, VIRTIO_MMIO_QUEUE_NOTIFY, 0xffffffff);
	virtio_mmio_kicked(&f->mmio, 0);
	assert_int_equal(f->echo->n_served, 0);
}

static void rings_outside_of_memory_break_the_device(void **state)
{
	struct fixture *f = *state;
	struct virtqueue_setup outside = f->rings[0].setup;

	outside.used = 0xd0000000;
	negotiate(f);
	set_queue(f, 0, &outside);
	assert_true(set_status(f, DRIVER_OK) & VIRTIO_CONFIG_S_NEEDS_RESET);
	assert_int_equal(f->n_broken, 1);
	assert_non_null(strstr(f->broken, "echo: the driver broke queue 0"));
	assert_int_equal(read32(f, VIRTIO_MMIO_INTERRUPT_STATUS), VIRTIO_MMIO_INT_CONFIG);
	virtio_mmio_kicked(&f->mmio, 0);
	assert_int_equal(f->echo->n_served, 0);
}

static void a_broken_ring_needs_a_reset_and_stops_the_device(void **state)
{
	struct fixture *f = *state;

	bring_up(f);
	test_ring_offer_head(&f->rings[0], 0xffff);
	virtio_mmio_kicked(&f->mmio, 0);
	assert_true(read32(f, VIRTIO_MMIO_STATUS) & VIRTIO_CONFIG_S_NEEDS_RESET);
	assert_int_equal(f->n_broken, 1);
	assert_non_null(strstr(f->broken, "beyond the table"));
	virtio_mmio_kicked(&f->mmio, 0);
	assert_int_equal(f->echo->n_served, 1);
	assert_int_equal(set_status(f, DRIVER_OK), DRIVER_OK | VIRTIO_CONFIG_S_NEEDS_RESET);
}

static void a_device_can_break_itself(void **state)
{
	struct fixture *f = *state;

	bring_up(f);
	offer(f, 1);
	virtio_mmio_kicked(&f->mmio, 0);
	assert_string_equal(f->broken, "echo: the driver broke queue 1: just so");
}

static void after_a_reset_it_works_again(void **state)
{
	struct fixture *f = *state;
	uint32_t head = 0, written = 0;

	bring_up(f);
	offer(f, 0);
	virtio_mmio_kicked(&f->mmio, 0);
	assert_int_equal(set_status(f, 0), 0);
	assert_int_equal(f->echo->n_resets, 1);
	assert_int_equal(read32(f, VIRTIO_MMIO_INTERRUPT_STATUS), 0);
	write32(f, VIRTIO_MMIO_QUEUE_SEL, 0);
	assert_int_equal(read32(f, VIRTIO_MMIO_QUEUE_READY), 0);
	virtio_mmio_kicked(&f->mmio, 0);
	assert_int_equal(f->echo->n_served, 1);

	test_ring_init(&f->rings[0], &f->memory, 0x1000, QUEUE_SIZE_MAX);
	bring_up(f);
	offer(f, 0);
	virtio_mmio_kicked(&f->mmio, 0);
	assert_true(test_ring_take(&f->rings[0], &head, &written));
}

static void a_queue_that_was_not_set_up_stays_silent(void **state)
{
	struct fixture *f = *state;

	negotiate(f);
	set_queue(f, 0, &f->rings[0].setup);
	assert_int_equal(set_status(f, DRIVER_OK), DRIVER_OK);
	offer(f, 1);
	virtio_mmio_kicked(&f->mmio, 0);
	assert_int_equal(f->n_broken, 0);
	assert_int_equal(f->echo->n_served, 1);
}

static void a_driver_that_failed_can_only_reset(void **state)
{
	struct fixture *f = *state;

	set_status(f, ACKNOWLEDGED);
	assert_true(set_status(f, ACKNOWLEDGED | VIRTIO_CONFIG_S_FAILED) & VIRTIO_CONFIG_S_FAILED);
	assert_int_equal(set_status(f, DRIVER), ACKNOWLEDGED | VIRTIO_CONFIG_S_FAILED);
	assert_int_equal(set_status(f, 0), 0);
	assert_int_equal(set_status(f, ACKNOWLEDGED), ACKNOWLEDGED);
}

static void config_space_is_bounded(void **state)
{
	struct fixture *f = *state;
	uint8_t data[8];

	assert_int_equal(read32(f, 0x100), 0x04030201);
	virtio_mmio_access(&f->mmio, 0x105, data, 1, false);
	assert_int_equal(data[0], 6);
	assert_int_equal(read32(f, 0x104), 0); /* half outside */
	virtio_mmio_access(&f->mmio, 0x1ff, data, 8, false);
	assert_int_equal(data[7], 0);
	memset(data, 0xee, sizeof(data));
	virtio_mmio_access(&f->mmio, 0x100, data, 8, true);
	assert_int_equal(read32(f, 0x100), 0x04030201);
}

static void odd_accesses_are_ignored(void **state)
{
	struct fixture *f = *state;
	uint8_t data[8] = { 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff };

	virtio_mmio_access(&f->mmio, VIRTIO_MMIO_MAGIC_VALUE, data, 1, false);
	assert_int_equal(data[0], 0);
	virtio_mmio_access(&f->mmio, VIRTIO_MMIO_MAGIC_VALUE + 2, data, 4, false);
	assert_int_equal(data[0], 0);
	data[0] = ACKNOWLEDGED;
	virtio_mmio_access(&f->mmio, VIRTIO_MMIO_STATUS, data, 8, true);
	virtio_mmio_access(&f->mmio, VIRTIO_MMIO_STATUS, data, 2, true);
	assert_int_equal(read32(f, VIRTIO_MMIO_STATUS), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
		TEST(identifies_itself_as_a_modern_device),
		TEST(a_driver_brings_it_up_and_gets_its_buffers_back),
		TEST(status_goes_up_one_step_at_a_time),
		TEST(features_without_version_1_are_refused),
		TEST(features_that_were_not_offered_are_refused),
		TEST(queue_registers_are_frozen_before_features_and_after_driver_ok),
		TEST(queue_sizes_that_are_no_power_of_two_are_not_taken),
		TEST(queues_that_do_not_exist_read_as_absent),
		TEST(rings_outside_of_memory_break_the_device),
		TEST(a_broken_ring_needs_a_reset_and_stops_the_device),
		TEST(a_device_can_break_itself),
		TEST(after_a_reset_it_works_again),
		TEST(a_queue_that_was_not_set_up_stays_silent),
		TEST(a_driver_that_failed_can_only_reset),
		TEST(config_space_is_bounded),
		TEST(odd_accesses_are_ignored),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
