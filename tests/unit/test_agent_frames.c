#include "api/agent_frames.h"

#include "tests/unit/agent_frame_helper.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>

static uint8_t wire[1 << 17];
static uint16_t last_type; /* of the frames that were found */
static uint64_t last_request;

/* Feeds the first `size` bytes of the wire in chunks and counts frames; negative if the protocol was broken. */
static int feed(struct agent_frames *f, size_t size, size_t step)
{
	int n_frames = 0;

	for (size_t at = 0; at < size; at += step) {
		const uint8_t *data = wire + at;
		size_t left = size - at < step ? size - at : step;
		int rc;

		while ((rc = agent_frames_feed(f, &data, &left)) > 0) {
			last_type = f->type;
			last_request = f->request;
			n_frames++;
		}
		if (rc < 0)
			return rc;
		assert_int_equal(left, 0);
	}
	return n_frames;
}

static void frames_are_found_however_the_stream_is_cut(void **state)
{
	struct bytes b = bytes_over(wire, sizeof(wire));

	(void)state;
	put_frame(&b, AGENT_STDOUT, 7, "hello", 5);
	put_frame(&b, AGENT_STDERR, 7, "", 0);
	put_done(&b, 7, AGENT_OK, 0, "");
	for (size_t step = 1; step <= b.position; step++) {
		struct agent_frames f = { 0 };

		assert_int_equal(feed(&f, b.position, step), 3);
		assert_int_equal(last_type, AGENT_DONE);
		assert_int_equal(last_request, 7);
		agent_frames_fini(&f);
	}
}

static void a_frame_in_the_making_is_freed(void **state)
{
	struct bytes b = bytes_over(wire, sizeof(wire));
	struct agent_frames f = { 0 };

	(void)state;
	put_frame(&b, AGENT_STDOUT, 1, "hello", 5);
	assert_int_equal(feed(&f, b.position - 1, 64), 0);
	agent_frames_fini(&f);
}

static void check_header(uint32_t length, uint16_t type, uint16_t flags, int expected)
{
	struct bytes b = bytes_over(wire, sizeof(wire));
	struct agent_frames f = { 0 };

	bytes_put_u32(&b, length);
	bytes_put_u16(&b, type);
	bytes_put_u16(&b, flags);
	bytes_put_u64(&b, 1);
	assert_int_equal(feed(&f, AGENT_HEADER_SIZE, 64), expected);
	agent_frames_fini(&f);
}

static void a_header_that_breaks_the_protocol_is_refused(void **state)
{
	(void)state;
	check_header(4, AGENT_STDOUT, 0, 0);
	check_header(4, AGENT_STDOUT, 1, -EPROTO);
	check_header(4, 99, 0, -EPROTO);
	check_header(4, 0, 0, -EPROTO);
	check_header(4, AGENT_EXECUTE, 0, -EPROTO);
	check_header(AGENT_STREAM_CHUNK_MAX, AGENT_STDOUT, 0, 0);
	check_header(AGENT_STREAM_CHUNK_MAX + 1, AGENT_STDOUT, 0, -EPROTO);
	check_header(AGENT_FRAME_MAX, AGENT_DISPLAY, 0, 0);
	check_header(AGENT_FRAME_MAX + 1, AGENT_DISPLAY, 0, -EPROTO);
	check_header(UINT32_MAX, AGENT_DONE, 0, -EPROTO);
	check_header(65, AGENT_READY, 0, -EPROTO);
}

static void ready_is_checked_for_version_and_order(void **state)
{
	uint8_t body[21];
	struct bytes b = bytes_over(body, sizeof(body));
	struct agent_ready ready;

	(void)state;
	bytes_put_u32(&b, AGENT_PROTOCOL_VERSION);
	bytes_put_u64(&b, 500);
	bytes_put_u64(&b, 700);
	bytes_put_u8(&b, 0);
	assert_int_equal(agent_ready_decode(&ready, body, 20), 0);
	assert_int_equal(ready.listens_us - ready.began_us, 200);
	assert_int_equal(agent_ready_decode(&ready, body, 19), -EPROTO);
	assert_int_equal(agent_ready_decode(&ready, body, 21), -EPROTO);
	body[0]++;
	assert_int_equal(agent_ready_decode(&ready, body, 20), -EPROTONOSUPPORT);
	body[0]--;
	body[4] = 255;
	body[5] = 255;
	assert_int_equal(agent_ready_decode(&ready, body, 20), -EPROTO);
}

static void done_is_checked_and_its_sentence_bounded(void **state)
{
	uint8_t body[4096] = { AGENT_LOST, 1 };
	struct agent_done done;

	(void)state;
	memset(body + 28, 'x', sizeof(body) - 28);
	assert_int_equal(agent_done_decode(&done, body, sizeof(body)), 0);
	assert_int_equal(done.outcome, AGENT_LOST);
	assert_true(done.state_lost);
	assert_int_equal(strlen(done.sentence), AGENT_SENTENCE_MAX);
	assert_int_equal(agent_done_decode(&done, body, 28), 0);
	assert_string_equal(done.sentence, "");
	assert_int_equal(agent_done_decode(&done, body, 27), -EPROTO);
	body[2] = 255;
	assert_int_equal(agent_done_decode(&done, body, 28), 0);
	assert_int_equal(done.exit_status, 255);
	body[3] = 1;
	assert_int_equal(agent_done_decode(&done, body, 28), -EPROTO);
	body[3] = 0;
	body[0] = AGENT_REFUSED + 1;
	assert_int_equal(agent_done_decode(&done, body, 28), -EPROTO);
	body[0] = AGENT_OK;
	body[1] = 2;
	assert_int_equal(agent_done_decode(&done, body, 28), -EPROTO);
}

static void an_order_is_what_the_protocol_says(void **state)
{
	uint8_t out[AGENT_HEADER_SIZE + AGENT_EXECUTE_PREFIX];
	struct bytes b = bytes_from(out, sizeof(out));

	(void)state;
	agent_execute_encode(out, 3, AGENT_NODE, AGENT_EXECUTE_FRESH, 2000, 1 << 20, 100);
	assert_int_equal(bytes_get_u32(&b), AGENT_EXECUTE_PREFIX + 100);
	assert_int_equal(bytes_get_u16(&b), AGENT_EXECUTE);
	assert_int_equal(bytes_get_u16(&b), 0);
	assert_int_equal(bytes_get_u64(&b), 3);
	assert_int_equal(bytes_get_u8(&b), AGENT_NODE);
	assert_int_equal(bytes_get_u8(&b), AGENT_EXECUTE_FRESH);
	bytes_take(&b, 2);
	assert_int_equal(bytes_get_u32(&b), 2000);
	assert_int_equal(bytes_get_u64(&b), 1 << 20);
	assert_int_equal(bytes_left(&b), 0);
}

/* u8 kind, 7 zero bytes, u64 size, u64 time, path */
static size_t put_file_info(uint8_t *out, uint8_t kind, const char *path, size_t length)
{
	struct bytes b = bytes_over(out, 24 + length);

	bytes_put_u8(&b, kind);
	bytes_put(&b, "\0\0\0\0\0\0\0", 7);
	bytes_put_u64(&b, 5);
	bytes_put_u64(&b, 6);
	bytes_put(&b, path, length);
	return 24 + length;
}

static void file_info(void **state)
{
	static char path[AGENT_FILE_PATH_MAX + 1];
	static uint8_t body[24 + AGENT_FILE_PATH_MAX + 1];
	struct agent_file_info info;
	size_t size = put_file_info(body, AGENT_FILE_FOLDER, "a/b", 3);

	(void)state;
	assert_int_equal(agent_file_info_decode(&info, body, size), 0);
	assert_int_equal(info.kind, AGENT_FILE_FOLDER);
	assert_int_equal(info.size, 5);
	assert_int_equal(info.changed_ns, 6);
	assert_string_equal(info.path, "a/b");
	for (size_t cut = 0; cut < 24; cut++)
		assert_int_equal(agent_file_info_decode(&info, body, cut), -EPROTO);
	assert_int_equal(agent_file_info_decode(&info, body, put_file_info(body, 0, "a", 1)), -EPROTO);
	assert_int_equal(agent_file_info_decode(&info, body, put_file_info(body, 3, "a", 1)), -EPROTO);
	assert_int_equal(agent_file_info_decode(&info, body, put_file_info(body, 1, "a\0b", 3)), -EPROTO);
	memset(path, 'x', sizeof(path));
	assert_int_equal(agent_file_info_decode(&info, body, put_file_info(body, 1, path, AGENT_FILE_PATH_MAX)), 0);
	assert_int_equal(agent_file_info_decode(&info, body, put_file_info(body, 1, path, AGENT_FILE_PATH_MAX + 1)),
			 -EPROTO);
}

static void file_done(void **state)
{
	static const uint8_t body[] = { AGENT_FILE_NO_SPACE, 0, 0, 0, 0, 0, 0, 0, 'f', 'u', 'l', 'l' };
	static const uint8_t unknown[] = { AGENT_FILE_CUT + 1, 0, 0, 0, 0, 0, 0, 0 };
	char sentence[AGENT_SENTENCE_MAX + 1];
	enum agent_file_status status;

	(void)state;
	assert_int_equal(agent_file_done_decode(&status, sentence, body, sizeof(body)), 0);
	assert_int_equal(status, AGENT_FILE_NO_SPACE);
	assert_string_equal(sentence, "full");
	assert_int_equal(agent_file_done_decode(&status, sentence, body, 8), 0);
	assert_string_equal(sentence, "");
	assert_int_equal(agent_file_done_decode(&status, sentence, body, 7), -EPROTO);
	assert_int_equal(agent_file_done_decode(&status, sentence, unknown, sizeof(unknown)), -EPROTO);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(file_info),
		cmocka_unit_test(file_done),
		cmocka_unit_test(frames_are_found_however_the_stream_is_cut),
		cmocka_unit_test(a_frame_in_the_making_is_freed),
		cmocka_unit_test(a_header_that_breaks_the_protocol_is_refused),
		cmocka_unit_test(ready_is_checked_for_version_and_order),
		cmocka_unit_test(done_is_checked_and_its_sentence_bounded),
		cmocka_unit_test(an_order_is_what_the_protocol_says),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
