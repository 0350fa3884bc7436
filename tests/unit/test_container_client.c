/* The agent's end is played by the test, rightly and wrongly, over a real Unix socket. */
#include "api/container_client.h"
#include "common/agent_container.h"

#include "tests/unit/agent_frame_helper.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

enum { WATCH = 1, HAND_OVER, RUN, STOP };

/* What the client told, in its order, one letter each: usable, output, dropped, exited, failed. */
struct scene {
	uv_loop_t loop;
	int listener, peer;
	struct container_client *client;
	char told[4096];
	size_t n_told, n_output, n_stderr;
	uint64_t n_dropped;
	struct agent_container_exit exit;
	char reason[AGENT_SENTENCE_MAX + 1];
	bool broke_protocol;
	char close_at; /* the letter at which the owner closes; 'f' does always */
};

static char path[64];
static const char environment[] = "A=1\0B=";

static void tell(struct scene *s, char what)
{
	assert_non_null(s->client); /* nothing is told after the end */
	if (s->n_told < sizeof(s->told) - 1)
		s->told[s->n_told++] = what;
	if (what != s->close_at && what != 'f')
		return;
	container_client_close(s->client);
	s->client = NULL;
}

static void on_usable(void *owner)
{
	tell(owner, 'u');
}

static void on_output(void *owner, bool is_stderr, const uint8_t *data, size_t size)
{
	struct scene *s = owner;

	assert_true(size > 0 && data[size - 1] == 'x');
	s->n_output += size;
	s->n_stderr += is_stderr ? size : 0;
	tell(s, 'o');
}

static void on_dropped(void *owner, uint64_t n_bytes)
{
	((struct scene *)owner)->n_dropped += n_bytes;
	tell(owner, 'd');
}

static void on_exited(void *owner, const struct agent_container_exit *exit)
{
	((struct scene *)owner)->exit = *exit;
	tell(owner, 'e');
}

static void on_failed(void *owner, const char *reason, bool broke_protocol)
{
	struct scene *s = owner;

	snprintf(s->reason, sizeof(s->reason), "%s", reason);
	s->broke_protocol = broke_protocol;
	tell(s, 'f');
}

static const struct container_events events = { on_usable, on_output, on_dropped, on_exited, on_failed };

/* ---- the stage --------------------------------------------------------------------------------------------------- */

static size_t make_start(uint8_t *body, size_t size)
{
	static struct agent_container container = { .n_disks = 1, .stop_signal = 15, .user = "", .directory = "" };

	container.n_arguments = 1;
	container.arguments[0] = "/bin/server";
	return agent_container_encode(&container, body, size);
}

static struct scene *open_scene(bool is_start, bool is_held, bool has_environment)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	struct scene *s = calloc(1, sizeof(*s));
	uint8_t start[1024];
	struct container_order order = {
		.start = is_start ? start : NULL,
		.start_size = make_start(start, sizeof(start)),
		.is_held = is_held,
		.environment = has_environment ? environment : NULL,
		.environment_size = sizeof(environment),
	};
	int rc;

	assert_true(order.start_size > 0);
	snprintf(path, sizeof(path), "/tmp/test-container-%d.sock", (int)getpid());
	strcpy(address.sun_path, path);
	unlink(path);
	s->listener = socket(AF_UNIX, SOCK_STREAM, 0);
	assert_int_equal(bind(s->listener, (struct sockaddr *)&address, sizeof(address)), 0);
	assert_int_equal(listen(s->listener, 1), 0);
	uv_loop_init(&s->loop);
	s->client = container_client_open(&s->loop, path, &order, &events, s, &rc);
	assert_non_null(s->client);
	memset(start, 0, sizeof(start)); /* it was copied */
	uv_run(&s->loop, UV_RUN_NOWAIT);
	s->peer = accept(s->listener, NULL, NULL);
	assert_true(s->peer >= 0);
	return s;
}

static void run(struct scene *s)
{
	for (int i = 0; i < 3; i++)
		uv_run(&s->loop, UV_RUN_NOWAIT);
}

static void say(struct scene *s, const void *data, size_t size)
{
	assert_int_equal(send(s->peer, data, size, MSG_NOSIGNAL), size);
	run(s);
}

static void say_frame(struct scene *s, uint16_t type, uint64_t request, const void *body, size_t size)
{
	uint8_t wire[4096];
	struct bytes b = bytes_over(wire, sizeof(wire));

	put_frame(&b, type, request, body, size);
	assert_false(b.failed);
	say(s, wire, b.position);
}

static void say_state(struct scene *s, uint64_t request, enum agent_container_state state)
{
	uint8_t body[9] = { (uint8_t)state };

	body[8] = '!'; /* a sentence */
	say_frame(s, AGENT_CONTAINER_STATE, request, body, sizeof(body));
}

static void say_exited(struct scene *s, uint64_t request)
{
	static const uint8_t body[] = { 3, 0, 0, 0, 9, 0, 0, 0, 42, 0, 0, 0, 0, 0, 0, 0, 'w', 'h', 'y' };

	say_frame(s, AGENT_CONTAINER_EXITED, request, body, sizeof(body));
}

/* Waits for exactly this line. */
static void hear_connect(struct scene *s)
{
	char line[32] = "";

	run(s);
	assert_int_equal(recv(s->peer, line, sizeof(line) - 1, MSG_DONTWAIT), strlen("CONNECT 1024\n"));
	assert_string_equal(line, "CONNECT 1024\n");
	say(s, "OK 1073741824\n", 14);
}

/* The body's size; the rest is checked. */
static size_t hear_frame(struct scene *s, uint16_t type, uint64_t request, uint8_t body[4096])
{
	uint8_t header[AGENT_HEADER_SIZE];
	struct bytes b = bytes_from(header, sizeof(header));
	uint32_t size;

	run(s);
	assert_int_equal(recv(s->peer, header, sizeof(header), MSG_DONTWAIT), sizeof(header));
	size = bytes_get_u32(&b);
	assert_int_equal(bytes_get_u16(&b), type);
	assert_int_equal(bytes_get_u16(&b), 0);
	assert_int_equal(bytes_get_u64(&b), request);
	assert_true(size <= 4096);
	if (size)
		assert_int_equal(recv(s->peer, body, size, MSG_DONTWAIT), size);
	return size;
}

static void hear(struct scene *s, uint16_t type, uint64_t request, const void *expected, size_t size)
{
	uint8_t body[4096];

	assert_int_equal(hear_frame(s, type, request, body), size);
	assert_memory_equal(body, expected, size);
}

static void hear_start(struct scene *s, bool is_held)
{
	static struct agent_container container;
	uint8_t body[4096];
	size_t size = hear_frame(s, AGENT_CONTAINER_START, WATCH, body);

	assert_null(agent_container_decode(body, size, &container));
	assert_string_equal(container.arguments[0], "/bin/server");
	assert_int_equal(container.flags, is_held ? AGENT_CONTAINER_HOLD : 0);
}

static void hear_nothing(struct scene *s)
{
	char byte;

	run(s);
	assert_int_equal(recv(s->peer, &byte, 1, MSG_DONTWAIT), -1);
	assert_int_equal(errno, EAGAIN);
}

static void expect(struct scene *s, const char *told)
{
	run(s);
	assert_string_equal(s->told, told);
}

/* Whatever has happened: nothing of it is left. */
static void end(struct scene *s)
{
	container_client_close(s->client);
	s->client = NULL;
	uv_run(&s->loop, UV_RUN_DEFAULT);
	close(s->peer);
	close(s->listener);
	unlink(path);
	assert_int_equal(uv_loop_close(&s->loop), 0);
	free(s);
}

static void end_broken(struct scene *s, const char *told)
{
	expect(s, told);
	assert_true(s->broke_protocol);
	assert_string_equal(s->reason, "the agent broke the protocol");
	end(s);
}

/* One that was taken up, or started, and has answered as `state`. */
static struct scene *attached(enum agent_container_state state)
{
	struct scene *s = open_scene(false, false, false);

	hear_connect(s);
	hear(s, AGENT_CONTAINER_ATTACH, WATCH, "", 0);
	say_state(s, WATCH, state);
	return s;
}

static struct scene *started(bool is_held, bool has_environment)
{
	struct scene *s = open_scene(true, is_held, has_environment);

	hear_connect(s);
	hear_start(s, is_held || has_environment);
	return s;
}

/* ---- what goes well ---------------------------------------------------------------------------------------------- */

static void one_is_started(void **state)
{
	struct scene *s = started(false, false);

	(void)state;
	say_state(s, WATCH, AGENT_CONTAINER_PREPARING);
	say_state(s, WATCH, AGENT_CONTAINER_STARTING);
	expect(s, "");
	say_state(s, WATCH, AGENT_CONTAINER_READY);
	expect(s, "u");
	say_state(s, WATCH, AGENT_CONTAINER_UNREADY);
	say_state(s, WATCH, AGENT_CONTAINER_READY);
	hear_nothing(s);
	expect(s, "u");
	end(s);
}

static void what_is_handed_over_comes_before_the_entrypoint(void **state)
{
	struct scene *s = started(false, true);

	(void)state;
	say_state(s, WATCH, AGENT_CONTAINER_PREPARING);
	hear_nothing(s);
	say_state(s, WATCH, AGENT_CONTAINER_HELD);
	hear(s, AGENT_CONTAINER_ENVIRONMENT, HAND_OVER, environment, sizeof(environment));
	say_state(s, WATCH, AGENT_CONTAINER_HELD);
	hear_nothing(s);
	say_state(s, HAND_OVER, AGENT_CONTAINER_HELD);
	hear(s, AGENT_CONTAINER_RUN, RUN, "", 0);
	say_state(s, RUN, AGENT_CONTAINER_STARTING);
	say_state(s, WATCH, AGENT_CONTAINER_STARTING);
	expect(s, "");
	say_state(s, WATCH, AGENT_CONTAINER_READY);
	expect(s, "u");
	hear_nothing(s);
	end(s);
}

static void one_that_is_to_be_held_is_not_run(void **state)
{
	struct scene *s = started(true, false);

	(void)state;
	say_state(s, WATCH, AGENT_CONTAINER_PREPARING);
	say_state(s, WATCH, AGENT_CONTAINER_HELD);
	expect(s, "u");
	hear_nothing(s);
	end(s);
}

static void one_that_is_there_is_taken_up(void **state)
{
	struct scene *s = attached(AGENT_CONTAINER_READY);

	(void)state;
	expect(s, "u");
	hear_nothing(s);
	end(s);

	s = attached(AGENT_CONTAINER_STARTING);
	expect(s, "");
	say_state(s, WATCH, AGENT_CONTAINER_UNREADY);
	expect(s, "u");
	end(s);

	s = attached(AGENT_CONTAINER_HELD);
	hear(s, AGENT_CONTAINER_RUN, RUN, "", 0);
	say_state(s, RUN, AGENT_CONTAINER_HELD);
	say_state(s, WATCH, AGENT_CONTAINER_READY);
	expect(s, "u");
	hear_nothing(s);
	end(s);
}

static void one_that_runs_is_told_something_too(void **state)
{
	struct scene *s = open_scene(false, false, true);

	(void)state;
	hear_connect(s);
	hear(s, AGENT_CONTAINER_ATTACH, WATCH, "", 0);
	say_state(s, WATCH, AGENT_CONTAINER_READY);
	hear(s, AGENT_CONTAINER_ENVIRONMENT, HAND_OVER, environment, sizeof(environment));
	expect(s, "");
	say_state(s, HAND_OVER, AGENT_CONTAINER_READY);
	expect(s, "u");
	hear_nothing(s);
	end(s);
}

static void its_end_is_told(void **state)
{
	struct scene *s = attached(AGENT_CONTAINER_READY);

	(void)state;
	say_frame(s, AGENT_STDOUT, WATCH, "ox", 2);
	say_frame(s, AGENT_CONTAINER_DROPPED, WATCH, "\5\0\0\0\0\0\0\0", 8);
	say_frame(s, AGENT_STDERR, WATCH, "x", 1);
	say_state(s, WATCH, AGENT_CONTAINER_ENDED);
	say_exited(s, WATCH);
	expect(s, "uodoe");
	assert_int_equal(s->n_output, 3);
	assert_int_equal(s->n_stderr, 1);
	assert_int_equal(s->n_dropped, 5);
	assert_int_equal(s->exit.status, 3);
	assert_int_equal(s->exit.signal, 9);
	assert_int_equal(s->exit.ran_us, 42);
	assert_string_equal(s->exit.sentence, "why");
	/* Whatever comes now, it is over. */
	say_exited(s, WATCH);
	say_frame(s, AGENT_STDOUT, WATCH, "x", 1);
	close(s->peer);
	expect(s, "uodoe");
	assert_false(container_client_stop(s->client, 1));
	end(s);

	s = attached(AGENT_CONTAINER_ENDED);
	hear_nothing(s);
	say_exited(s, WATCH);
	expect(s, "e");
	end(s);
}

static void one_is_stopped(void **state)
{
	struct scene *s = attached(AGENT_CONTAINER_READY);

	(void)state;
	assert_true(container_client_stop(s->client, 5000));
	hear(s, AGENT_CONTAINER_STOP, STOP, "\x88\x13\0\0\0\0\0\0", 8);
	assert_false(container_client_stop(s->client, 5000));
	say_state(s, STOP, AGENT_CONTAINER_ENDING);
	assert_false(container_client_stop(s->client, 5000));
	say_state(s, WATCH, AGENT_CONTAINER_ENDING);
	say_exited(s, WATCH);
	expect(s, "ue");
	end(s);
}

static void another_owner_hears_the_rest(void **state)
{
	struct scene *s = attached(AGENT_CONTAINER_READY), other = { 0 };

	(void)state;
	other.client = s->client;
	container_client_hand_over(s->client, &events, &other);
	say_exited(s, WATCH);
	assert_string_equal(s->told, "u");
	assert_string_equal(other.told, "e");
	end(s);
}

/* ---- what goes wrong --------------------------------------------------------------------------------------------- */

static void a_guest_without_a_container_is_told(void **state)
{
	struct scene *s = attached(AGENT_CONTAINER_NONE);

	(void)state;
	expect(s, "f");
	assert_string_equal(s->reason, "its guest has no container");
	assert_false(s->broke_protocol);
	end(s);
}

static void a_refusal_is_told(void **state)
{
	struct scene *s = started(false, false);

	(void)state;
	say_frame(s, AGENT_CONTAINER_REFUSED, WATCH, "no", 2);
	expect(s, "f");
	assert_string_equal(s->reason, "no");
	assert_false(s->broke_protocol);
	end(s);

	s = started(false, true);
	say_state(s, WATCH, AGENT_CONTAINER_HELD);
	say_frame(s, AGENT_CONTAINER_REFUSED, HAND_OVER, "", 0);
	expect(s, "f");
	assert_string_equal(s->reason, "its agent gives no reason");
	end(s);

	/* One that is ending takes no orders: its end is told instead. */
	s = attached(AGENT_CONTAINER_READY);
	assert_true(container_client_stop(s->client, 1));
	say_state(s, WATCH, AGENT_CONTAINER_ENDING);
	say_frame(s, AGENT_CONTAINER_REFUSED, STOP, "it is ending", 12);
	say_exited(s, WATCH);
	expect(s, "ue");
	end(s);
}

static void one_that_ends_before_it_is_ready(void **state)
{
	struct scene *s = started(false, false);

	(void)state;
	say_state(s, WATCH, AGENT_CONTAINER_STARTING);
	say_frame(s, AGENT_STDERR, WATCH, "x", 1);
	say_exited(s, WATCH);
	expect(s, "oe");
	end(s);
}

static void words_about_other_requests_break_the_protocol(void **state)
{
	static const uint64_t wrong[] = {
		0, HAND_OVER, RUN, STOP, 5, 32, 33, 1ull << 32, (1ull << 32) + 1, UINT64_MAX
	};
	struct scene *s;

	(void)state;
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		s = attached(AGENT_CONTAINER_READY);
		say_state(s, wrong[i], AGENT_CONTAINER_READY);
		end_broken(s, "uf");
		s = attached(AGENT_CONTAINER_READY);
		say_frame(s, AGENT_CONTAINER_REFUSED, wrong[i], "no", 2);
		end_broken(s, "uf");
		s = attached(AGENT_CONTAINER_READY);
		say_frame(s, AGENT_STDOUT, wrong[i], "x", 1);
		end_broken(s, "uf");
		s = attached(AGENT_CONTAINER_READY);
		say_exited(s, wrong[i]);
		end_broken(s, "uf");
		s = attached(AGENT_CONTAINER_READY);
		say_frame(s, AGENT_CONTAINER_DROPPED, wrong[i], "\5\0\0\0\0\0\0\0", 8);
		end_broken(s, "uf");
	}
}

/* An agent that says "handed over" before anything was must not have it believed. */
static void an_order_has_one_answer(void **state)
{
	struct scene *s = started(false, true);

	(void)state;
	say_state(s, HAND_OVER, AGENT_CONTAINER_READY);
	end_broken(s, "f");

	s = started(false, true);
	say_state(s, WATCH, AGENT_CONTAINER_READY);
	say_state(s, HAND_OVER, AGENT_CONTAINER_READY);
	say_state(s, HAND_OVER, AGENT_CONTAINER_READY);
	end_broken(s, "uf");
}

static void bodies_that_do_not_decode_break_the_protocol(void **state)
{
	static const struct {
		uint16_t type;
		const char *body;
		size_t size;
	} bodies[] = {
		{ AGENT_CONTAINER_STATE, "", 0 },
		{ AGENT_CONTAINER_STATE, "\4\0\0\0\0\0\0", 7 },
		{ AGENT_CONTAINER_STATE, "\10\0\0\0\0\0\0\0", 8 },
		{ AGENT_CONTAINER_STATE, "\4\1\0\0\0\0\0\0", 8 },
		{ AGENT_CONTAINER_STATE, "\4\0\0\0\0\0\0\1", 8 },
		{ AGENT_CONTAINER_EXITED, "\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0", 15 },
		{ AGENT_CONTAINER_EXITED, "\0\0\0\0\x41\0\0\0\0\0\0\0\0\0\0\0", 16 },
		{ AGENT_CONTAINER_DROPPED, "\1\0\0\0\0\0\0", 7 },
		{ AGENT_CONTAINER_DROPPED, "\1\0\0\0\0\0\0\0\0", 9 },
		{ AGENT_CONTAINER_DROPPED, "\0\0\0\0\0\0\0\0", 8 },
		{ AGENT_STDOUT, "", 0 },
		{ AGENT_STDERR, "", 0 },
		{ AGENT_STARTED, "\0\0\0\0\0\0\0\0", 8 },
		{ AGENT_CONTAINER_START, "", 0 },
		{ AGENT_CONTAINER_STOP, "\0\0\0\0\0\0\0\0", 8 },
		{ 4711, "", 0 },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(bodies) / sizeof(bodies[0]); i++) {
		struct scene *s = attached(AGENT_CONTAINER_READY);

		say_frame(s, bodies[i].type, WATCH, bodies[i].body, bodies[i].size);
		end_broken(s, "uf");
	}
}

/* How much the client takes of an endless stream of this frame in about the time of two periods. */
static size_t flood(uint16_t type, const void *body, size_t size)
{
	struct scene *s = attached(AGENT_CONTAINER_READY);
	static uint8_t wire[64 << 10];
	struct bytes b = bytes_over(wire, sizeof(wire));
	uint64_t until_ns = uv_hrtime() + 400000000;
	size_t n_sent = 0, n;

	while (bytes_left(&b) > size + AGENT_HEADER_SIZE)
		put_frame(&b, type, WATCH, body, size);
	for (size_t at = 0; uv_hrtime() < until_ns; at = (at + n) % b.position) {
		ssize_t sent = send(s->peer, wire + at, b.position - at, MSG_NOSIGNAL | MSG_DONTWAIT);

		n = sent > 0 ? (size_t)sent : 0;
		n_sent += n;
		uv_run(&s->loop, UV_RUN_NOWAIT);
	}
	assert_null(strchr(s->told, 'f'));
	/* It is only slow. */
	container_client_close(s->client);
	s->client = NULL;
	end(s);
	return n_sent;
}

static void a_flood_is_read_slowly(void **state)
{
	static const char x[2000] = { [1999] = 'x' };
	static const uint8_t ready[8] = { AGENT_CONTAINER_READY };
	const size_t most = 3 * (256 << 10) + (1 << 20); /* of three periods, and what lies in the socket and a chunk */

	(void)state;
	assert_in_range(flood(AGENT_STDOUT, x, sizeof(x)), 256 << 10, most);
	assert_in_range(flood(AGENT_STDERR, x + 1999, 1), 256 << 10, most);
	assert_in_range(flood(AGENT_CONTAINER_STATE, ready, 8), 256 << 10, most);
	assert_in_range(flood(AGENT_CONTAINER_DROPPED, ready, 8), 256 << 10, most);
}

/* The connection breaks, or the owner closes, at each step of the longest conversation, however it is cut. */
static size_t put_conversation(uint8_t *wire, size_t size)
{
	struct bytes b = bytes_over(wire, size);
	uint8_t state[8] = { AGENT_CONTAINER_HELD };

	bytes_put(&b, "OK 1\n", 5);
	put_frame(&b, AGENT_CONTAINER_STATE, WATCH, state, 8);
	put_frame(&b, AGENT_CONTAINER_STATE, HAND_OVER, state, 8);
	state[0] = AGENT_CONTAINER_STARTING;
	put_frame(&b, AGENT_CONTAINER_STATE, RUN, state, 8);
	put_frame(&b, AGENT_STDOUT, WATCH, "x", 1);
	put_frame(&b, AGENT_CONTAINER_DROPPED, WATCH, "\1\0\0\0\0\0\0\0", 8);
	state[0] = AGENT_CONTAINER_READY;
	put_frame(&b, AGENT_CONTAINER_STATE, WATCH, state, 8);
	put_frame(&b, AGENT_CONTAINER_EXITED, WATCH, "\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0", 16);
	assert_false(b.failed);
	return b.position;
}

static void the_connection_breaks_anywhere(void **state)
{
	uint8_t wire[512];
	size_t size = put_conversation(wire, sizeof(wire));

	(void)state;
	for (size_t cut = 0; cut <= size; cut++) {
		struct scene *s = open_scene(true, false, true);

		run(s);
		for (size_t i = 0; i < cut; i++)
			say(s, wire + i, 1);
		shutdown(s->peer, SHUT_RDWR);
		run(s);
		assert_false(s->broke_protocol);
		assert_string_equal(strchr("fe", s->told[s->n_told - 1]) ? "" : s->told, "");
		if (cut == size)
			assert_string_equal(s->told, "odue");
		else
			assert_string_equal(s->reason,
					    cut < 5 ? "the agent does not listen" : "the agent closed the connection");
		end(s);
	}
}

static void the_owner_closes_anywhere(void **state)
{
	uint8_t wire[512];
	size_t size = put_conversation(wire, sizeof(wire));

	(void)state;
	for (const char *at = "odue"; *at; at++) {
		struct scene *s = open_scene(true, false, true);

		s->close_at = *at;
		run(s);
		for (size_t i = 0; i < size; i++)
			if (send(s->peer, wire + i, 1, MSG_NOSIGNAL) == 1)
				run(s);
		assert_int_equal(s->told[s->n_told - 1], *at);
		end(s);
	}
	for (size_t cut = 0; cut <= size; cut++) {
		struct scene *s = open_scene(true, false, true);

		run(s);
		for (size_t i = 0; i < cut; i++)
			say(s, wire + i, 1);
		end(s);
	}
}

static void close_without_a_loop_in_between(void **state)
{
	const struct container_order order = { .environment = environment, .environment_size = sizeof(environment) };
	uv_loop_t loop;
	int rc;
	struct scene s = { 0 };

	(void)state;
	uv_loop_init(&loop);
	s.client = container_client_open(&loop, "/nowhere/at/all", &order, &events, &s, &rc);
	assert_non_null(s.client);
	assert_false(container_client_stop(s.client, 1));
	container_client_close(s.client);
	uv_run(&loop, UV_RUN_DEFAULT);
	assert_string_equal(s.told, "");

	s.client = container_client_open(&loop, "/nowhere/at/all", &order, &events, &s, &rc);
	uv_run(&loop, UV_RUN_DEFAULT);
	assert_string_equal(s.told, "f");
	assert_string_equal(s.reason, "the VMM's vsock socket cannot be reached");
	assert_int_equal(uv_loop_close(&loop), 0);
	container_client_close(NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(one_is_started),
		cmocka_unit_test(what_is_handed_over_comes_before_the_entrypoint),
		cmocka_unit_test(one_that_is_to_be_held_is_not_run),
		cmocka_unit_test(one_that_is_there_is_taken_up),
		cmocka_unit_test(one_that_runs_is_told_something_too),
		cmocka_unit_test(its_end_is_told),
		cmocka_unit_test(one_is_stopped),
		cmocka_unit_test(another_owner_hears_the_rest),
		cmocka_unit_test(a_guest_without_a_container_is_told),
		cmocka_unit_test(a_refusal_is_told),
		cmocka_unit_test(one_that_ends_before_it_is_ready),
		cmocka_unit_test(words_about_other_requests_break_the_protocol),
		cmocka_unit_test(an_order_has_one_answer),
		cmocka_unit_test(bodies_that_do_not_decode_break_the_protocol),
		cmocka_unit_test(a_flood_is_read_slowly),
		cmocka_unit_test(the_connection_breaks_anywhere),
		cmocka_unit_test(the_owner_closes_anywhere),
		cmocka_unit_test(close_without_a_loop_in_between),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
