/* What hearthd keeps of a container's output: bounds, order, readers that are too slow, the last lines. */
#include "api/container_log.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

static void say(struct container_log *log, bool is_stderr, const char *text)
{
	container_log_append(log, is_stderr, text, strlen(text));
}

static void expect(const struct container_log *log, struct container_log_reader *reader, bool is_stderr,
		   const char *text)
{
	struct container_log_piece piece;

	assert_true(container_log_next(log, reader, &piece));
	assert_int_equal(piece.is_stderr, is_stderr);
	assert_int_equal(piece.size, strlen(text));
	assert_memory_equal(piece.text, text, piece.size);
}

static void pieces_come_in_their_order(void **state)
{
	struct container_log log = { 0 };
	struct container_log_reader early = { 0 }, late = { 0 };
	struct container_log_piece piece;

	(void)state;
	assert_false(container_log_next(&log, &early, &piece));
	say(&log, false, "a");
	say(&log, true, "b");
	expect(&log, &early, false, "a");
	expect(&log, &early, true, "b");
	assert_false(container_log_next(&log, &early, &piece));
	say(&log, false, "c");
	expect(&log, &early, false, "c");
	assert_false(container_log_next(&log, &early, &piece));
	expect(&log, &late, false, "a");
	assert_int_equal(container_log_missed(&log, &late), 0);
	container_log_fini(&log);
	assert_false(container_log_next(&log, &late, &piece));
	container_log_fini(&log);
}

/* Each byte tells its place in the output. */
static void check_rest(const struct container_log *log, struct container_log_reader *reader, uint64_t written)
{
	struct container_log_piece piece;
	uint64_t at;

	while (container_log_next(log, reader, &piece)) {
		at = reader->n_passed - piece.size;
		for (size_t i = 0; i < piece.size; i++)
			assert_int_equal((uint8_t)piece.text[i], (at + i) % 251);
	}
	assert_int_equal(reader->n_passed, written);
}

/* A reader that keeps up misses nothing although the oldest is forgotten; one that does not is told how much. */
static void a_slow_reader_misses_the_oldest(void **state)
{
	static const size_t sizes[] = { 1, 7, 4096, 4097, 20000, 3, CONTAINER_LOG_MAX, 5 * CONTAINER_LOG_MAX + 1 };
	static uint8_t data[5 * CONTAINER_LOG_MAX + 1];
	struct container_log log = { 0 };
	struct container_log_reader fast = { 0 }, slow = { 0 };
	uint64_t written = 0;

	(void)state;
	for (size_t step = 0; step < 400; step++) {
		size_t size = sizes[step % (step % 50 ? 6 : 8)];

		for (size_t i = 0; i < size; i++)
			data[i] = (uint8_t)((written + i) % 251);
		container_log_append(&log, step % 3 == 0, data, size);
		written += size;
		assert_true(log.size <= CONTAINER_LOG_MAX);
		check_rest(&log, &fast, written);
		if (size < CONTAINER_LOG_MAX / 2)
			assert_int_equal(container_log_missed(&log, &fast), 0);
		else
			fast.n_missed = 0;
	}
	check_rest(&log, &slow, written);
	assert_int_equal(slow.n_missed, log.n_forgotten);
	assert_true(slow.n_missed > 0 && written - slow.n_missed > CONTAINER_LOG_MAX / 2);
	container_log_note_dropped(&log, 5);
	assert_int_equal(container_log_missed(&log, &slow), slow.n_missed + 5);
	container_log_fini(&log);
}

/* A byte at a time is how a guest makes most work: each has a header, and what is forgotten has to be moved. */
static void single_bytes_are_cheap(void **state)
{
	struct container_log log = { 0 };
	struct container_log_reader reader = { 0 };
	struct container_log_piece piece;
	size_t n_moves = 0, n = 0;

	(void)state;
	for (size_t i = 0; i < 1000000; i++) {
		uint64_t first = log.first;

		container_log_append(&log, false, "x", 1);
		n_moves += log.first != first;
	}
	assert_in_range(n_moves, 1, 2000);
	for (; container_log_next(&log, &reader, &piece); n++)
		assert_int_equal(piece.size, 1);
	assert_int_equal(n + reader.n_missed, 1000000);
	container_log_fini(&log);
}

static void expect_tail(const struct container_log *log, size_t size, const char *text)
{
	char *tail = malloc(size ? size : 1); /* exactly so much: what is beyond shows */

	assert_int_equal(container_log_tail(log, tail, size), strlen(text));
	assert_memory_equal(tail, text, strlen(text));
	free(tail);
}

static void the_tail_begins_with_a_line(void **state)
{
	struct container_log log = { 0 };

	(void)state;
	expect_tail(&log, 100, "");
	say(&log, false, "first\nsec");
	say(&log, true, "ond\n");
	say(&log, false, "third");
	expect_tail(&log, 100, "first\nsecond\nthird");
	expect_tail(&log, 18, "first\nsecond\nthird");
	expect_tail(&log, 17, "second\nthird");
	expect_tail(&log, 8, "third");
	expect_tail(&log, 5, "third");
	expect_tail(&log, 3, "ird");
	expect_tail(&log, 0, "");
	say(&log, false, "\n");
	/* A line that is the last one is kept, though cut. */
	expect_tail(&log, 4, "ird\n");
	container_log_fini(&log);
}

static void the_tail_of_much_is_its_end(void **state)
{
	static char data[3 * CONTAINER_LOG_MAX];
	struct container_log log = { 0 };
	char tail[600];

	(void)state;
	memset(data, 'x', sizeof(data));
	data[sizeof(data) - 500] = '\n';
	memcpy(data + sizeof(data) - 3, "end", 3);
	container_log_append(&log, false, data, sizeof(data));
	assert_int_equal(container_log_tail(&log, tail, sizeof(tail)), 499);
	assert_memory_equal(tail + 496, "end", 3);
	container_log_fini(&log);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(pieces_come_in_their_order),  cmocka_unit_test(a_slow_reader_misses_the_oldest),
		cmocka_unit_test(single_bytes_are_cheap),      cmocka_unit_test(the_tail_begins_with_a_line),
		cmocka_unit_test(the_tail_of_much_is_its_end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
