/* The agent's end is played by the test, rightly and wrongly, over a real Unix socket. */
#include "api/agent_client.h"

#include "tests/unit/agent_frame_helper.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

/* What a peer sends after CONNECT, and what the client made of it. */
struct scene {
	uv_loop_t loop;
	int listener;
	uint8_t wire[300 << 10];
	struct bytes b; /* over wire; begins with the VMM's answer */
	struct agent_client *client;
	uint64_t output_limit;
	size_t n_output;
	enum agent_frame_type order; /* that is given once connected; 0: an execution */
	int n_displays, n_started, n_done, n_settled, n_adopted;
	char problem[64];
	struct agent_done done;
	bool failed, broke_protocol;
};

static char path[64];

static void on_connected(void *owner)
{
	struct scene *s = owner;
	const struct agent_order order = { AGENT_PYTHON, 1000, s->output_limit, "1", 1, 0 };

	if (s->order == AGENT_SETTLE)
		assert_int_equal(agent_client_settle(s->client), 0);
	else if (s->order == AGENT_ADOPT)
		assert_int_equal(agent_client_adopt(s->client, AGENT_IDENTITY_NEW, "host"), 0);
	else
		assert_int_equal(agent_client_execute(s->client, &order), 0);
	/* One order at a time. */
	assert_int_equal(agent_client_settle(s->client), -EINVAL);
}

static void on_started(void *owner, uint64_t waited_us)
{
	assert_int_equal(waited_us, 42);
	((struct scene *)owner)->n_started++;
}

static void on_output(void *owner, enum agent_frame_type stream, const uint8_t *data, size_t size)
{
	(void)stream;
	(void)data;
	((struct scene *)owner)->n_output += size;
}

static void on_display(void *owner, const struct mime_bundle *bundle, bool is_result)
{
	(void)bundle;
	(void)is_result;
	((struct scene *)owner)->n_displays++;
}

static void on_done(void *owner, const struct agent_done *done)
{
	struct scene *s = owner;

	s->n_done++;
	s->done = *done;
}

static void on_failed(void *owner, const char *reason, bool broke_protocol)
{
	struct scene *s = owner;

	assert_false(s->failed);
	assert_non_null(reason);
	s->failed = true;
	s->broke_protocol = broke_protocol;
	agent_client_close(s->client);
}

static void on_settled(void *owner, const char *problem)
{
	(void)problem;
	((struct scene *)owner)->n_settled++;
}

static void on_adopted(void *owner, const char *problem)
{
	struct scene *s = owner;

	snprintf(s->problem, sizeof(s->problem), "%s", problem);
	s->n_adopted++;
}

static const struct agent_events events = {
	on_connected, on_started, on_output, on_display, on_done, on_settled, on_adopted, on_failed,
};

static void begin(struct scene *s, const char *answer)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };

	*s = (struct scene) { .output_limit = 1 << 20 };
	snprintf(path, sizeof(path), "/tmp/test-agent-%d.sock", (int)getpid());
	strcpy(address.sun_path, path);
	s->listener = socket(AF_UNIX, SOCK_STREAM, 0);
	assert_int_equal(bind(s->listener, (struct sockaddr *)&address, sizeof(address)), 0);
	assert_int_equal(listen(s->listener, 1), 0);
	uv_loop_init(&s->loop);
	s->b = bytes_over(s->wire, sizeof(s->wire));
	bytes_put(&s->b, answer, strlen(answer));
}

/* Connects, sends the wire `step` bytes at a time, closes. */
static void play(struct scene *s, size_t step)
{
	int rc, peer;

	assert_false(s->b.failed);
	s->client = agent_client_connect(&s->loop, path, &events, s, &rc);
	assert_non_null(s->client);
	uv_run(&s->loop, UV_RUN_NOWAIT);
	peer = accept(s->listener, NULL, NULL);
	assert_true(peer >= 0);
	for (size_t at = 0; at < s->b.position; at += step) {
		size_t n = s->b.position - at < step ? s->b.position - at : step;

		if (send(peer, s->wire + at, n, MSG_NOSIGNAL) < 0)
			break; /* the client had enough */
		uv_run(&s->loop, UV_RUN_NOWAIT);
	}
	shutdown(peer, SHUT_RDWR);
	uv_run(&s->loop, UV_RUN_DEFAULT);
	close(peer);
	close(s->listener);
	unlink(path);
	assert_int_equal(uv_loop_close(&s->loop), 0);
	assert_true(s->failed); /* if by nothing else, by the end of the connection */
}

/* One entry, "text/a", of one byte. */
static const char bundle[] = "\1\0\6\0text/a\1\0\0\0x";

static void put_started(struct scene *s)
{
	uint8_t body[8] = { 42 };

	put_frame(&s->b, AGENT_STARTED, 1, body, sizeof(body));
}

static void an_execution_goes_through_however_the_stream_is_cut(void **state)
{
	static const size_t steps[] = { 1, 3, 17, 4096 };

	(void)state;
	for (size_t i = 0; i < sizeof(steps) / sizeof(steps[0]); i++) {
		struct scene *s = malloc(sizeof(*s));

		begin(s, "OK 1073741824\n");
		put_started(s);
		put_frame(&s->b, AGENT_STDOUT, 1, "abc", 3);
		put_frame(&s->b, AGENT_DISPLAY, 1, bundle, sizeof(bundle) - 1);
		put_frame(&s->b, AGENT_RESULT, 1, bundle, sizeof(bundle) - 1);
		put_done(&s->b, 1, AGENT_ERROR, 9, "why");
		play(s, steps[i]);
		assert_int_equal(s->n_started, 1);
		assert_int_equal(s->n_output, 3);
		assert_int_equal(s->n_displays, 2);
		assert_int_equal(s->n_done, 1);
		assert_int_equal(s->done.stdout_cut_bytes, 9);
		assert_string_equal(s->done.sentence, "why");
		assert_false(s->broke_protocol);
		free(s);
	}
}

/* Plays a wire whose last frame breaks the protocol. */
static void check_broken(struct scene *s)
{
	play(s, 4096);
	assert_true(s->broke_protocol);
	free(s);
}

static struct scene *started(void)
{
	struct scene *s = malloc(sizeof(*s));

	begin(s, "OK 1\n");
	put_started(s);
	return s;
}

static void frames_out_of_order_break_the_protocol(void **state)
{
	struct scene *s = started();

	(void)state;
	put_started(s);
	check_broken(s);

	s = started();
	put_frame(&s->b, AGENT_RESULT, 1, bundle, sizeof(bundle) - 1);
	put_frame(&s->b, AGENT_RESULT, 1, bundle, sizeof(bundle) - 1);
	check_broken(s);

	s = started();
	put_done(&s->b, 1, AGENT_OK, 0, "");
	put_frame(&s->b, AGENT_STDOUT, 1, "late", 4);
	check_broken(s);

	s = started();
	put_frame(&s->b, AGENT_READY, 1, "", 0);
	check_broken(s);
}

static void a_frame_about_another_request_breaks_the_protocol(void **state)
{
	struct scene *s = started();

	(void)state;
	put_frame(&s->b, AGENT_STDOUT, 2, "x", 1);
	check_broken(s);
	s = started();
	put_done(&s->b, 0, AGENT_OK, 0, "");
	check_broken(s);
}

static void bodies_that_do_not_decode_break_the_protocol(void **state)
{
	struct scene *s = started();

	(void)state;
	put_frame(&s->b, AGENT_DISPLAY, 1, "\1", 1);
	check_broken(s);
	s = started();
	put_frame(&s->b, AGENT_DISPLAY, 1, "\0\0", 2);
	check_broken(s);
	s = started();
	put_frame(&s->b, AGENT_DONE, 1, "", 0);
	check_broken(s);
	s = malloc(sizeof(*s));
	begin(s, "OK 1\n");
	put_frame(&s->b, AGENT_STARTED, 1, "1234567", 7);
	check_broken(s);
}

static void more_output_than_was_asked_for_breaks_the_protocol(void **state)
{
	struct scene *s = started();

	(void)state;
	s->output_limit = 10;
	put_frame(&s->b, AGENT_STDOUT, 1, "0123456789", 10);
	put_frame(&s->b, AGENT_STDERR, 1, "0123456789", 10); /* each stream has its own */
	put_frame(&s->b, AGENT_STDOUT, 1, "x", 1);
	check_broken(s);
}

static void the_agent_may_say_a_word_beyond_the_limit_of_stderr(void **state)
{
	static const uint8_t notes[AGENT_NOTES_MAX];
	struct scene *s = started();

	(void)state;
	s->output_limit = 10;
	put_frame(&s->b, AGENT_STDERR, 1, "0123456789", 10);
	put_frame(&s->b, AGENT_STDERR, 1, notes, sizeof(notes));
	put_done(&s->b, 1, AGENT_OK, 0, "");
	play(s, 4096);
	assert_int_equal(s->n_done, 1);
	assert_false(s->broke_protocol);
	free(s);

	s = started();
	s->output_limit = 10;
	put_frame(&s->b, AGENT_STDERR, 1, "0123456789", 10);
	put_frame(&s->b, AGENT_STDERR, 1, notes, sizeof(notes));
	put_frame(&s->b, AGENT_STDERR, 1, "x", 1);
	check_broken(s);
}

static struct scene *ordered(enum agent_frame_type order)
{
	struct scene *s = malloc(sizeof(*s));

	begin(s, "OK 1\n");
	s->order = order;
	return s;
}

static void a_guest_settles_and_is_adopted(void **state)
{
	struct scene *s = ordered(AGENT_SETTLE);

	(void)state;
	put_frame(&s->b, AGENT_SETTLED, 1, "", 0);
	play(s, 1);
	assert_int_equal(s->n_settled, 1);
	assert_false(s->broke_protocol);
	free(s);

	s = ordered(AGENT_ADOPT);
	put_frame(&s->b, AGENT_ADOPTED, 1, "no clock", 8);
	play(s, 4096);
	assert_int_equal(s->n_adopted, 1);
	assert_string_equal(s->problem, "no clock");
	assert_false(s->broke_protocol);
	free(s);
}

static void an_answer_to_another_order_breaks_the_protocol(void **state)
{
	struct scene *s = ordered(AGENT_SETTLE);

	(void)state;
	put_frame(&s->b, AGENT_ADOPTED, 1, "", 0);
	check_broken(s);
	s = ordered(AGENT_ADOPT);
	put_started(s);
	check_broken(s);
	s = started();
	put_frame(&s->b, AGENT_SETTLED, 1, "", 0);
	check_broken(s);
	s = ordered(AGENT_ADOPT);
	put_frame(&s->b, AGENT_ADOPTED, 1, "", 0);
	put_frame(&s->b, AGENT_ADOPTED, 1, "", 0);
	check_broken(s);
}

static void a_refused_connect_fails(void **state)
{
	static const char *const answers[] = { "NO\n", "\n", "0123456789012345678901234567890123456789\n", "OK\n" };

	(void)state;
	for (size_t i = 0; i < sizeof(answers) / sizeof(answers[0]); i++) {
		struct scene *s = malloc(sizeof(*s));

		begin(s, answers[i]);
		check_broken(s);
	}
}

static void random_bytes_do_no_harm(void **state)
{
	(void)state;
	srandom(1);
	for (int i = 0; i < 200; i++) {
		struct scene *s = started();

		for (int n = 0; n < 300; n++)
			bytes_put_u8(&s->b, (uint8_t)(random() % (n < 8 ? 32 : 256)));
		play(s, 64);
		free(s);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_execution_goes_through_however_the_stream_is_cut),
		cmocka_unit_test(frames_out_of_order_break_the_protocol),
		cmocka_unit_test(a_frame_about_another_request_breaks_the_protocol),
		cmocka_unit_test(bodies_that_do_not_decode_break_the_protocol),
		cmocka_unit_test(more_output_than_was_asked_for_breaks_the_protocol),
		cmocka_unit_test(the_agent_may_say_a_word_beyond_the_limit_of_stderr),
		cmocka_unit_test(a_guest_settles_and_is_adopted),
		cmocka_unit_test(an_answer_to_another_order_breaks_the_protocol),
		cmocka_unit_test(a_refused_connect_fails),
		cmocka_unit_test(random_bytes_do_no_harm),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
