/* How the agent puts frames together from a stream, and what it keeps for a peer that does not read. */
#include "guest-agent/frame.h"
#include "common/agent_protocol.h"
#include "common/bytes.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>
#include <cmocka.h>

struct pair {
	int near; /* the agent's end, non-blocking */
	int far;
};

static int set_up(void **state)
{
	struct pair *pair = malloc(sizeof(*pair));
	int fds[2];

	if (!pair || socketpair(AF_UNIX, SOCK_STREAM, 0, fds) < 0)
		return -1;
	pair->near = fds[0];
	pair->far = fds[1];
	fcntl(pair->near, F_SETFL, O_NONBLOCK);
	*state = pair;
	return 0;
}

static int tear_down(void **state)
{
	struct pair *pair = *state;

	close(pair->near);
	if (pair->far >= 0)
		close(pair->far);
	free(pair);
	return 0;
}

static void put_header(uint8_t *to, uint32_t length, uint16_t type, uint16_t flags, uint64_t request)
{
	struct bytes b = bytes_over(to, AGENT_HEADER_SIZE);

	bytes_put_u32(&b, length);
	bytes_put_u16(&b, type);
	bytes_put_u16(&b, flags);
	bytes_put_u64(&b, request);
}

static void send_all(int fd, const void *data, size_t size)
{
	assert_int_equal(write(fd, data, size), (ssize_t)size);
}

static void frame_that_arrives_byte_by_byte_is_whole_at_its_last(void **state)
{
	struct pair *pair = *state;
	struct frame_reader reader = { 0 };
	struct frame *frame = NULL;
	uint8_t wire[AGENT_HEADER_SIZE + 3] = { 0 };

	put_header(wire, 3, AGENT_INTERRUPT, 0, 0x1122334455667788);
	wire[16] = 'a', wire[17] = 'b', wire[18] = 'c';
	for (size_t i = 0; i < sizeof(wire); i++) {
		assert_int_equal(frame_reader_next(&reader, pair->near, &frame), 0);
		send_all(pair->far, wire + i, 1);
	}
	assert_int_equal(frame_reader_next(&reader, pair->near, &frame), 1);
	assert_int_equal(frame->type, AGENT_INTERRUPT);
	assert_int_equal(frame->length, 3);
	assert_true(frame->request == 0x1122334455667788);
	assert_memory_equal(frame_body(frame), "abc", 3);
	frame_destroy(frame);
}

static void two_frames_in_one_piece_come_one_after_the_other(void **state)
{
	struct pair *pair = *state;
	struct frame_reader reader = { 0 };
	struct frame *frame = NULL;
	uint8_t wire[2 * AGENT_HEADER_SIZE + 1];

	put_header(wire, 1, AGENT_EXECUTE, 0, 1);
	wire[16] = 'x';
	put_header(wire + 17, 0, AGENT_INTERRUPT, 0, 2);
	send_all(pair->far, wire, sizeof(wire));
	assert_int_equal(frame_reader_next(&reader, pair->near, &frame), 1);
	assert_int_equal(frame->type, AGENT_EXECUTE);
	frame_destroy(frame);
	assert_int_equal(frame_reader_next(&reader, pair->near, &frame), 1);
	assert_int_equal(frame->type, AGENT_INTERRUPT);
	assert_int_equal(frame->length, 0);
	frame_destroy(frame);
	assert_int_equal(frame_reader_next(&reader, pair->near, &frame), 0);
}

static void header_with_a_length_above_the_limit_is_refused(void **state)
{
	struct pair *pair = *state;
	struct frame_reader reader = { 0 };
	struct frame *frame = NULL;
	uint8_t wire[AGENT_HEADER_SIZE];

	put_header(wire, AGENT_FRAME_MAX + 1, AGENT_EXECUTE, 0, 1);
	send_all(pair->far, wire, sizeof(wire));
	assert_int_equal(frame_reader_next(&reader, pair->near, &frame), -EPROTO);
	frame_reader_fini(&reader);
}

static void header_with_flags_is_refused(void **state)
{
	struct pair *pair = *state;
	struct frame_reader reader = { 0 };
	struct frame *frame = NULL;
	uint8_t wire[AGENT_HEADER_SIZE];

	put_header(wire, 0, AGENT_EXECUTE, 1, 1);
	send_all(pair->far, wire, sizeof(wire));
	assert_int_equal(frame_reader_next(&reader, pair->near, &frame), -EPROTO);
	frame_reader_fini(&reader);
}

static void promised_length_takes_no_memory_before_the_bytes_are_there(void **state)
{
	struct pair *pair = *state;
	struct frame_reader reader = { 0 };
	struct frame *frame = NULL;
	uint8_t wire[AGENT_HEADER_SIZE];

	put_header(wire, AGENT_FRAME_MAX, AGENT_EXECUTE, 0, 1);
	send_all(pair->far, wire, sizeof(wire));
	send_all(pair->far, "ab", 2);
	assert_int_equal(frame_reader_next(&reader, pair->near, &frame), 0);
	assert_true(reader.capacity <= 64 << 10);
	frame_reader_fini(&reader);
}

static void end_of_the_stream_in_a_frame_is_told(void **state)
{
	struct pair *pair = *state;
	struct frame_reader reader = { 0 };
	struct frame *frame = NULL;
	uint8_t wire[AGENT_HEADER_SIZE];

	put_header(wire, 10, AGENT_EXECUTE, 0, 1);
	send_all(pair->far, wire, sizeof(wire));
	close(pair->far);
	pair->far = -1;
	assert_int_equal(frame_reader_next(&reader, pair->near, &frame), -EPIPE);
	frame_reader_fini(&reader);
}

static void outbox_keeps_what_the_peer_does_not_take_and_its_order(void **state)
{
	struct pair *pair = *state;
	struct frame_reader reader = { 0 };
	struct outbox outbox;
	enum { COUNT = 40, SIZE = 50000 };

	outbox_init(&outbox);
	for (uint64_t i = 0; i < COUNT; i++) {
		struct frame *frame = frame_create(AGENT_STDOUT, i, SIZE);

		memset(frame_body(frame), (int)i, SIZE);
		outbox_push(&outbox, frame);
		assert_int_equal(outbox_flush(&outbox, pair->near), 0);
	}
	assert_true(outbox.bytes > 0);
	fcntl(pair->far, F_SETFL, O_NONBLOCK);
	for (uint64_t i = 0; i < COUNT;) {
		struct frame *frame = NULL;

		assert_int_equal(outbox_flush(&outbox, pair->near), 0);
		if (frame_reader_next(&reader, pair->far, &frame) == 0)
			continue;
		assert_true(frame->request == i);
		assert_int_equal(frame_body(frame)[SIZE - 1], i);
		frame_destroy(frame);
		i++;
	}
	assert_true(outbox.bytes == 0);
	assert_null(outbox.first);
}

static void outbox_tells_that_the_peer_is_gone(void **state)
{
	struct pair *pair = *state;
	struct outbox outbox;

	outbox_init(&outbox);
	close(pair->far);
	pair->far = -1;
	outbox_push(&outbox, frame_create(AGENT_STDOUT, 1, 10));
	assert_int_equal(outbox_flush(&outbox, pair->near), -EPIPE);
	outbox_push(&outbox, NULL);
	outbox_fini(&outbox);
	assert_true(outbox.bytes == 0);
}

static void frame_may_be_given_another_request(void **state)
{
	struct frame *frame = frame_create(AGENT_RESULT, 1, 2);
	struct bytes header = bytes_from(frame->wire, AGENT_HEADER_SIZE);

	(void)state;
	frame_set_request(frame, 99);
	assert_int_equal(bytes_get_u32(&header), 2);
	assert_int_equal(bytes_get_u16(&header), AGENT_RESULT);
	assert_int_equal(bytes_get_u16(&header), 0);
	assert_int_equal(bytes_get_u64(&header), 99);
	frame_destroy(frame);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(frame_that_arrives_byte_by_byte_is_whole_at_its_last, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(two_frames_in_one_piece_come_one_after_the_other, set_up, tear_down),
		cmocka_unit_test_setup_teardown(header_with_a_length_above_the_limit_is_refused, set_up, tear_down),
		cmocka_unit_test_setup_teardown(header_with_flags_is_refused, set_up, tear_down),
		cmocka_unit_test_setup_teardown(promised_length_takes_no_memory_before_the_bytes_are_there, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(end_of_the_stream_in_a_frame_is_told, set_up, tear_down),
		cmocka_unit_test_setup_teardown(outbox_keeps_what_the_peer_does_not_take_and_its_order, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(outbox_tells_that_the_peer_is_gone, set_up, tear_down),
		cmocka_unit_test(frame_may_be_given_another_request),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
