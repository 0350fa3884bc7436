/* The log of a container: order, streams, the ring's end, readers that are too slow. */
#include "guest-agent/container_log.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

static uint8_t out[AGENT_CONTAINER_LOG_MAX];

static void say(struct container_log *log, enum output_stream stream, const char *text)
{
	container_log_append(log, stream, (const uint8_t *)text, strlen(text));
}

static void expect(struct container_log *log, struct container_log_reader *reader, enum output_stream stream,
		   const char *text)
{
	enum output_stream got = OUTPUT_N_STREAMS;
	size_t size = container_log_read(log, reader, &got, out, sizeof(out));

	assert_int_equal(size, strlen(text));
	assert_memory_equal(out, text, size);
	if (size)
		assert_int_equal(got, stream);
}

static void test_what_was_written_is_read(void **state)
{
	struct container_log *log = calloc(1, sizeof(*log));
	struct container_log_reader reader = { 0 }, late = { 0 };

	(void)state;
	assert_false(container_log_has_more(log, &reader));
	expect(log, &reader, 0, "");
	say(log, OUTPUT_STDOUT, "a");
	say(log, OUTPUT_STDOUT, "b");
	say(log, OUTPUT_STDERR, "c");
	say(log, OUTPUT_STDOUT, "d");
	assert_true(container_log_has_more(log, &reader));
	expect(log, &reader, OUTPUT_STDOUT, "ab");
	expect(log, &reader, OUTPUT_STDERR, "c");
	expect(log, &reader, OUTPUT_STDOUT, "d");
	assert_false(container_log_has_more(log, &reader));
	say(log, OUTPUT_STDERR, "e");
	expect(log, &reader, OUTPUT_STDERR, "e");
	expect(log, &late, OUTPUT_STDOUT, "ab");
	free(log);
}

/* Each byte tells its place in the output, whatever the sizes of the pieces. */
static void test_a_slow_reader_loses_the_oldest(void **state)
{
	struct container_log *log = calloc(1, sizeof(*log));
	struct container_log_reader fast = { 0 }, slow = { 0 };
	static uint8_t piece[20000];
	enum output_stream stream;
	uint64_t written = 0, heard = 0, lost;
	size_t size;

	(void)state;
	for (size_t step = 0; step < 500; step++) {
		size = (step * 7919) % sizeof(piece) + 1;
		for (size_t i = 0; i < size; i++)
			piece[i] = (uint8_t)((written + i) % 251);
		container_log_append(log, step % 3 == 0, piece, size);
		written += size;
		assert_int_equal(container_log_skip_lost(log, &fast), 0);
		while ((size = container_log_read(log, &fast, &stream, out, sizeof(out))) > 0) {
			for (size_t i = 0; i < size; i++)
				assert_int_equal(out[i], (heard + i) % 251);
			heard += size;
		}
		assert_int_equal(heard, written);
	}
	lost = container_log_skip_lost(log, &slow);
	assert_true(lost > 0 && written - lost > sizeof(log->ring) - 2 * CONTAINER_LOG_RECORD_MAX);
	for (heard = lost; (size = container_log_read(log, &slow, &stream, out, sizeof(out))) > 0; heard += size)
		for (size_t i = 0; i < size; i++)
			assert_int_equal(out[i], (heard + i) % 251);
	assert_int_equal(heard, written);
	assert_int_equal(container_log_skip_lost(log, &slow), 0);
	free(log);
}

static void test_pieces_fit_the_room(void **state)
{
	struct container_log *log = calloc(1, sizeof(*log));
	struct container_log_reader reader = { 0 };
	enum output_stream stream;
	size_t total = 0, size;

	(void)state;
	memset(out, 'x', sizeof(out));
	container_log_append(log, OUTPUT_STDOUT, out, 10000);
	while ((size = container_log_read(log, &reader, &stream, out, CONTAINER_LOG_RECORD_MAX)) > 0) {
		assert_true(size <= CONTAINER_LOG_RECORD_MAX);
		total += size;
	}
	assert_int_equal(total, 10000);
	free(log);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_what_was_written_is_read),
		cmocka_unit_test(test_a_slow_reader_loses_the_oldest),
		cmocka_unit_test(test_pieces_fit_the_room),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
