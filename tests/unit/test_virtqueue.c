#include "tests/unit/test_ring.h"

#include <errno.h>

#define WRITABLE VRING_DESC_F_WRITE
#define NEXT     VRING_DESC_F_NEXT

struct fixture {
	struct guest_memory memory;
	struct test_ring ring;
	struct virtqueue vq;
	struct virtqueue_chain chain;
};

static int setup(void **state)
{
	static struct fixture f;

	memset(&f, 0, sizeof(f));
	assert_int_equal(guest_memory_init(&f.memory, TEST_MEMORY_SIZE), 0);
	test_ring_init(&f.ring, &f.memory, 0x1000, 8);
	assert_int_equal(virtqueue_init(&f.vq, &f.memory, &f.ring.setup, true), 0);
	*state = &f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	guest_memory_fini(&f->memory);
	return 0;
}

static void assert_broken(struct fixture *f, const char *part_of_reason)
{
	assert_int_equal(virtqueue_pop(&f->vq, &f->chain), -EPROTO);
	assert_non_null(strstr(f->vq.error, part_of_reason));
}

static void an_empty_ring_gives_nothing(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(virtqueue_pop(&f->vq, &f->chain), 0);
}

static void a_chain_comes_with_its_segments_in_order(void **state)
{
	struct fixture *f = *state;
	const struct test_segment segments[] = { { 0x10000, 16, 0 }, { 0x20000, 32, 0 }, { 0x30000, 64, WRITABLE } };
	uint16_t head = test_ring_offer_chain(&f->ring, segments, 3);

	assert_int_equal(virtqueue_pop(&f->vq, &f->chain), 1);
	assert_int_equal(f->chain.head, head);
	assert_int_equal(f->chain.n_readable, 2);
	assert_int_equal(f->chain.n_writable, 1);
	assert_int_equal(f->chain.readable_bytes, 48);
	assert_int_equal(f->chain.writable_bytes, 64);
	assert_ptr_equal(f->chain.segments[2].iov_base, test_memory(&f->ring, 0x30000, 64));
	assert_int_equal(virtqueue_pop(&f->vq, &f->chain), 0);
}

static void a_chain_as_long_as_the_ring_is_taken(void **state)
{
	struct fixture *f = *state;
	struct test_segment segments[8];

	for (unsigned i = 0; i < 8; i++)
		segments[i] = (struct test_segment) { 0x10000 + i * 0x100, 8, 0 };
	test_ring_offer_chain(&f->ring, segments, 8);
	assert_int_equal(virtqueue_pop(&f->vq, &f->chain), 1);
	assert_int_equal(f->chain.n_readable, 8);
}

static void a_chain_that_points_to_itself_is_refused(void **state)
{
	struct fixture *f = *state;

	test_ring_set_descriptor(&f->ring, 3, 0x10000, 16, NEXT, 3);
	test_ring_offer_head(&f->ring, 3);
	assert_broken(f, "loops");
}

static void a_chain_that_loops_through_others_is_refused(void **state)
{
	struct fixture *f = *state;

	test_ring_set_descriptor(&f->ring, 0, 0x10000, 16, NEXT, 1);
	test_ring_set_descriptor(&f->ring, 1, 0x10000, 16, NEXT, 2);
	test_ring_set_descriptor(&f->ring, 2, 0x10000, 16, NEXT, 0);
	test_ring_offer_head(&f->ring, 0);
	assert_broken(f, "loops");
}

static void a_head_beyond_the_table_is_refused(void **state)
{
	struct fixture *f = *state;

	test_ring_offer_head(&f->ring, 8);
	assert_broken(f, "beyond the table");
}

static void a_next_beyond_the_table_is_refused(void **state)
{
	struct fixture *f = *state;

	test_ring_set_descriptor(&f->ring, 0, 0x10000, 16, NEXT, 0xffff);
	test_ring_offer_head(&f->ring, 0);
	assert_broken(f, "beyond the table");
}

static void an_available_index_too_far_ahead_is_refused(void **state)
{
	struct fixture *f = *state;

	test_store_u16(&f->ring, f->ring.setup.available + 2, 9);
	assert_broken(f, "beyond the ring");
	/* One behind is 65,535 ahead. */
	test_store_u16(&f->ring, f->ring.setup.available + 2, 0xffff);
	assert_broken(f, "beyond the ring");
}

static void memory_that_the_guest_does_not_have_is_refused(void **state)
{
	static const struct {
		gpa_t address;
		uint32_t length;
	} wrong[] = {
		{ TEST_MEMORY_SIZE, 1 }, { TEST_MEMORY_SIZE - 1, 2 }, { 0xd0000000, 16 },           { UINT64_MAX, 1 },
		{ UINT64_MAX - 15, 32 }, { 0x10000, UINT32_MAX },     { 0xffffffff00000000, 4096 },
	};

	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		struct fixture *f = *state;

		test_ring_init(&f->ring, &f->memory, 0x1000, 8);
		assert_int_equal(virtqueue_init(&f->vq, &f->memory, &f->ring.setup, true), 0);
		test_ring_set_descriptor(&f->ring, 0, wrong[i].address, wrong[i].length, 0, 0);
		test_ring_offer_head(&f->ring, 0);
		assert_broken(f, "outside of memory");
	}
}

static void the_last_byte_of_memory_may_be_used(void **state)
{
	struct fixture *f = *state;
	const struct test_segment last = { TEST_MEMORY_SIZE - 1, 1, WRITABLE };

	test_ring_offer_chain(&f->ring, &last, 1);
	assert_int_equal(virtqueue_pop(&f->vq, &f->chain), 1);
	assert_int_equal(virtqueue_chain_write(&f->chain, 0, "xy", 2), 1);
}

static void an_empty_descriptor_is_refused(void **state)
{
	struct fixture *f = *state;

	test_ring_set_descriptor(&f->ring, 0, 0x10000, 0, 0, 0);
	test_ring_offer_head(&f->ring, 0);
	assert_broken(f, "empty");
}

static void an_indirect_descriptor_is_refused(void **state)
{
	struct fixture *f = *state;

	test_ring_set_descriptor(&f->ring, 0, 0x10000, 32, VRING_DESC_F_INDIRECT, 0);
	test_ring_offer_head(&f->ring, 0);
	assert_broken(f, "indirect");
}

static void readable_after_writable_is_refused(void **state)
{
	struct fixture *f = *state;
	const struct test_segment segments[] = { { 0x10000, 16, WRITABLE }, { 0x20000, 16, 0 } };

	test_ring_offer_chain(&f->ring, segments, 2);
	assert_broken(f, "after a writable");
}

static void rings_in_bad_places_are_refused(void **state)
{
	struct fixture *f = *state;
	const struct virtqueue_setup good = f->ring.setup;
	struct virtqueue_setup bad[] = { good, good, good, good, good, good, good, good, good, good };

	bad[0].size = 0;
	bad[1].size = 3;
	bad[2].size = 512;
	bad[3].descriptors += 8;
	bad[4].available += 1;
	bad[5].used += 2;
	bad[6].descriptors = TEST_MEMORY_SIZE - 64;
	bad[7].available = UINT64_MAX - 1;
	bad[8].used = 0xd0000000;
	bad[9].descriptors = TEST_MEMORY_SIZE;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		assert_int_equal(virtqueue_init(&f->vq, &f->memory, &bad[i], true), -EINVAL);
		assert_int_equal(virtqueue_pop(&f->vq, &f->chain), 0);
		assert_false(virtqueue_rearm(&f->vq));
		assert_false(virtqueue_needs_interrupt(&f->vq));
	}
	assert_int_equal(virtqueue_init(&f->vq, &f->memory, &good, true), 0);
}

static void rings_that_end_with_memory_fit(void **state)
{
	struct fixture *f = *state;
	struct virtqueue_setup at_end = f->ring.setup;

	at_end.used = TEST_MEMORY_SIZE - 72; /* 6 + 8 * 8 bytes, rounded up to alignment */
	assert_int_equal(virtqueue_init(&f->vq, &f->memory, &at_end, true), 0);
	at_end.used = TEST_MEMORY_SIZE - 68;
	assert_int_equal(virtqueue_init(&f->vq, &f->memory, &at_end, true), -EINVAL);
}

static void indexes_wrap_after_65536_chains(void **state)
{
	struct fixture *f = *state;
	const struct test_segment segment = { 0x10000, 16, WRITABLE };
	uint32_t head = 0, written = 0;

	for (uint32_t i = 0; i < 65536 + 20; i++) {
		uint16_t offered = test_ring_offer_chain(&f->ring, &segment, 1);

		assert_int_equal(virtqueue_pop(&f->vq, &f->chain), 1);
		virtqueue_push(&f->vq, &f->chain, i);
		assert_true(test_ring_take(&f->ring, &head, &written));
		assert_int_equal(head, offered);
		assert_int_equal(written, i);
	}
	assert_int_equal(f->vq.next_used, 20);
	assert_false(test_ring_take(&f->ring, &head, &written));
}

static void an_unpopped_chain_comes_again(void **state)
{
	struct fixture *f = *state;
	const struct test_segment segment = { 0x10000, 16, WRITABLE };
	uint16_t head = test_ring_offer_chain(&f->ring, &segment, 1);

	assert_int_equal(virtqueue_pop(&f->vq, &f->chain), 1);
	virtqueue_unpop(&f->vq);
	assert_int_equal(virtqueue_pop(&f->vq, &f->chain), 1);
	assert_int_equal(f->chain.head, head);
}

static void use_one(struct fixture *f)
{
	const struct test_segment segment = { 0x10000, 16, WRITABLE };

	test_ring_offer_chain(&f->ring, &segment, 1);
	assert_int_equal(virtqueue_pop(&f->vq, &f->chain), 1);
	virtqueue_push(&f->vq, &f->chain, 0);
}

static void with_event_idx_the_driver_says_when_to_interrupt(void **state)
{
	struct fixture *f = *state;

	assert_false(virtqueue_needs_interrupt(&f->vq)); /* nothing was pushed */
	test_ring_set_used_event(&f->ring, 0);
	use_one(f);
	assert_true(virtqueue_needs_interrupt(&f->vq));
	assert_false(virtqueue_needs_interrupt(&f->vq)); /* not twice for the same */

	test_ring_set_used_event(&f->ring, 3); /* at the fourth */
	use_one(f);
	assert_false(virtqueue_needs_interrupt(&f->vq));
	use_one(f);
	use_one(f);
	assert_true(virtqueue_needs_interrupt(&f->vq));
}

static void with_event_idx_the_comparison_wraps(void **state)
{
	struct fixture *f = *state;

	f->vq.next_used = f->vq.interrupted_at = 0xfffe;
	test_ring_set_used_event(&f->ring, 0xffff);
	use_one(f); /* index 0xfffe */
	assert_false(virtqueue_needs_interrupt(&f->vq));
	use_one(f); /* index 0xffff */
	assert_true(virtqueue_needs_interrupt(&f->vq));
}

static void without_event_idx_the_flag_decides(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(virtqueue_init(&f->vq, &f->memory, &f->ring.setup, false), 0);
	use_one(f);
	assert_true(virtqueue_needs_interrupt(&f->vq));
	test_store_u16(&f->ring, f->ring.setup.available, VRING_AVAIL_F_NO_INTERRUPT);
	use_one(f);
	assert_false(virtqueue_needs_interrupt(&f->vq));
}

static void rearming_asks_for_a_kick_and_finds_what_came_meanwhile(void **state)
{
	struct fixture *f = *state;
	const struct test_segment segment = { 0x10000, 16, WRITABLE };

	use_one(f);
	assert_false(virtqueue_rearm(&f->vq));
	assert_int_equal(test_ring_avail_event(&f->ring), 1);
	test_ring_offer_chain(&f->ring, &segment, 1);
	assert_true(virtqueue_rearm(&f->vq));
}

static void bytes_are_copied_across_segments(void **state)
{
	struct fixture *f = *state;
	const struct test_segment segments[] = {
		{ 0x10000, 3, 0 }, { 0x20000, 4, 0 }, { 0x30000, 2, WRITABLE }, { 0x40000, 5, WRITABLE }
	};
	char data[16] = { 0 };

	memcpy(test_memory(&f->ring, 0x10000, 3), "abc", 3);
	memcpy(test_memory(&f->ring, 0x20000, 4), "defg", 4);
	test_ring_offer_chain(&f->ring, segments, 4);
	assert_int_equal(virtqueue_pop(&f->vq, &f->chain), 1);

	assert_int_equal(virtqueue_chain_read(&f->chain, 2, data, sizeof(data)), 5);
	assert_memory_equal(data, "cdefg", 5);
	assert_int_equal(virtqueue_chain_read(&f->chain, 7, data, 1), 0);
	assert_int_equal(virtqueue_chain_read(&f->chain, UINT64_MAX, data, 1), 0);

	assert_int_equal(virtqueue_chain_write(&f->chain, 1, "123456789", 9), 6);
	assert_memory_equal(test_memory(&f->ring, 0x30000, 2), "\0001", 2);
	assert_memory_equal(test_memory(&f->ring, 0x40000, 5), "23456", 5);
}

static void a_slice_is_cut_where_its_part_ends(void **state)
{
	struct fixture *f = *state;
	const struct test_segment segments[] = { { 0x10000, 10, 0 },
						 { 0x20000, 10, WRITABLE },
						 { 0x30000, 10, WRITABLE } };
	struct iovec slice[VIRTQUEUE_SIZE_MAX] = { 0 };

	test_ring_offer_chain(&f->ring, segments, 3);
	assert_int_equal(virtqueue_pop(&f->vq, &f->chain), 1);
	assert_int_equal(virtqueue_chain_slice(&f->chain, true, 5, 10, slice), 2);
	assert_int_equal(slice[0].iov_len, 5);
	assert_int_equal(slice[1].iov_len, 5);
	assert_int_equal(virtqueue_chain_slice(&f->chain, false, 5, 100, slice), 1);
	assert_int_equal(slice[0].iov_len, 5);
	assert_int_equal(virtqueue_chain_slice(&f->chain, true, 20, 1, slice), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
		TEST(an_empty_ring_gives_nothing),
		TEST(a_chain_comes_with_its_segments_in_order),
		TEST(a_chain_as_long_as_the_ring_is_taken),
		TEST(a_chain_that_points_to_itself_is_refused),
		TEST(a_chain_that_loops_through_others_is_refused),
		TEST(a_head_beyond_the_table_is_refused),
		TEST(a_next_beyond_the_table_is_refused),
		TEST(an_available_index_too_far_ahead_is_refused),
		TEST(memory_that_the_guest_does_not_have_is_refused),
		TEST(the_last_byte_of_memory_may_be_used),
		TEST(an_empty_descriptor_is_refused),
		TEST(an_indirect_descriptor_is_refused),
		TEST(readable_after_writable_is_refused),
		TEST(rings_in_bad_places_are_refused),
		TEST(rings_that_end_with_memory_fit),
		TEST(indexes_wrap_after_65536_chains),
		TEST(an_unpopped_chain_comes_again),
		TEST(with_event_idx_the_driver_says_when_to_interrupt),
		TEST(with_event_idx_the_comparison_wraps),
		TEST(without_event_idx_the_flag_decides),
		TEST(rearming_asks_for_a_kick_and_finds_what_came_meanwhile),
		TEST(bytes_are_copied_across_segments),
		TEST(a_slice_is_cut_where_its_part_ends),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
