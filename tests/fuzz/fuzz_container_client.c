/*
 * What a hostile agent says of a container, to the client and the log of it that hearthd keeps. The connection is played
 * here, so that nothing waits for a socket; what comes by it is cut anywhere.
 */
#include "api/agent_connection.h"
#include "api/container_client.h"
#include "api/container_log.h"
#include "common/bytes.h"
#include "tests/fuzz/choices.h"
#include "tests/fuzz/fuzz.h"
#include "tests/unit/agent_frame_helper.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { N_REQUESTS = 6 };

struct play {
	struct agent_connection *connection;
	struct container_client *client;
	struct container_log log;
	struct container_log_reader reader;
	uint64_t n_output;
	unsigned int n_usable, n_ends, n_stops;
	unsigned int n_sent[N_REQUESTS]; /* orders by request number */
	unsigned int events_left;        /* after which the owner closes */
	unsigned int sends_left;         /* after which none goes out */
	bool is_held, has_environment;
};

static struct play play;

/* ---- in the place of agent_connection.c -------------------------------------------------------------------------- */

int agent_connection_open(struct agent_connection *c, uv_loop_t *loop, const char *path,
			  const struct agent_connection_events *events, void *owner)
{
	(void)loop;
	(void)path;
	c->events = events;
	c->owner = owner;
	play.connection = c;
	return 0;
}

struct agent_write *agent_write_new(size_t size)
{
	return malloc(sizeof(struct agent_write) + size);
}

int agent_connection_send(struct agent_connection *c, struct agent_write *write, size_t size)
{
	struct bytes b = bytes_from(write->data, size);
	uint32_t length = bytes_get_u32(&b);
	uint64_t request;

	FUZZ_CHECK(!c->is_closing && c->is_connected && length == size - AGENT_HEADER_SIZE);
	bytes_get_u32(&b);
	request = bytes_get_u64(&b);
	FUZZ_CHECK(request > 0 && request < N_REQUESTS && play.n_sent[request]++ == 0);
	free(write);
	return play.sends_left-- ? 0 : -EPIPE;
}

void agent_connection_pause(struct agent_connection *c, bool paused)
{
	c->is_paused = paused;
}

void agent_connection_close(struct agent_connection *c)
{
	c->is_closing = true;
}

/* ---- the owner --------------------------------------------------------------------------------------------------- */

static void told(void)
{
	FUZZ_CHECK(play.client);
	if (play.events_left-- && !play.n_ends)
		return;
	container_client_close(play.client);
	play.client = NULL;
}

/* Whose it is was told it, and answered, before it is used or run. */
static void on_usable(void *owner)
{
	(void)owner;
	FUZZ_CHECK(play.n_usable++ == 0 && (!play.has_environment || play.n_sent[2]));
	FUZZ_CHECK(!play.is_held || !play.n_sent[3]);
	told();
}

static void on_output(void *owner, bool is_stderr, const uint8_t *data, size_t size)
{
	struct container_log_piece piece;

	(void)owner;
	FUZZ_CHECK(size > 0 && size <= AGENT_STREAM_CHUNK_MAX);
	container_log_append(&play.log, is_stderr, data, size);
	play.n_output += size;
	FUZZ_CHECK(play.log.size <= CONTAINER_LOG_MAX);
	while (container_log_next(&play.log, &play.reader, &piece))
		FUZZ_CHECK(piece.size > 0);
	FUZZ_CHECK(play.reader.n_passed == play.n_output);
	told();
}

static void on_dropped(void *owner, uint64_t n_bytes)
{
	(void)owner;
	FUZZ_CHECK(n_bytes > 0);
	container_log_note_dropped(&play.log, n_bytes);
	told();
}

static void on_exited(void *owner, const struct agent_container_exit *exit)
{
	(void)owner;
	FUZZ_CHECK(play.n_ends++ == 0 && strlen(exit->sentence) <= AGENT_SENTENCE_MAX);
	told();
}

static void on_failed(void *owner, const char *reason, bool broke_protocol)
{
	(void)owner;
	(void)broke_protocol;
	FUZZ_CHECK(play.n_ends++ == 0 && *reason);
	told();
}

static const struct container_events events = { on_usable, on_output, on_dropped, on_exited, on_failed };

/* ---- the agent --------------------------------------------------------------------------------------------------- */

/* As agent_connection.c does. */
static void feed(const uint8_t *data, size_t size)
{
	struct agent_connection *c = play.connection;
	int rc = 1;

	while (!c->is_closing && rc > 0) {
		rc = agent_frames_feed(&c->frames, &data, &size);
		if (rc > 0 && c->events->frame(c->owner) < 0)
			rc = -EPROTO;
	}
	if (rc < 0 && !c->is_closing)
		c->events->failed(c->owner, "broken", true);
}

/* A frame that is nearly right. */
static void say(struct choices *c)
{
	static const uint16_t types[] = {
		AGENT_CONTAINER_STATE, AGENT_CONTAINER_STATE,   AGENT_CONTAINER_STATE,   AGENT_STDOUT,
		AGENT_STDERR,          AGENT_CONTAINER_DROPPED, AGENT_CONTAINER_REFUSED, AGENT_CONTAINER_EXITED
	};
	static uint8_t wire[AGENT_HEADER_SIZE + AGENT_STREAM_CHUNK_MAX], body[AGENT_STREAM_CHUNK_MAX];
	struct bytes b = bytes_over(wire, sizeof(wire));
	uint16_t type = types[choose_below(c, sizeof(types) / sizeof(types[0]))];
	uint64_t request = choose_below(c, N_REQUESTS);
	size_t size = choose_below(c, 64);

	memset(body, 0, 64);
	if (type == AGENT_CONTAINER_STATE) {
		body[0] = (uint8_t)choose_below(c, AGENT_CONTAINER_ENDED + 1);
		size = 8 + size % 8;
	} else if (type == AGENT_CONTAINER_DROPPED) {
		uint64_t n = choose(c, 8);

		memcpy(body, &n, sizeof(n));
		size = 8;
	} else if (type == AGENT_CONTAINER_EXITED) {
		body[0] = (uint8_t)choose(c, 1);
		size += 16;
	} else if (type != AGENT_CONTAINER_REFUSED) {
		size = size == 63 ? sizeof(body) : size;
	}
	put_frame(&b, type, request, body, size);
	feed(wire, b.position);
}

static void step(struct choices *c)
{
	uint32_t what = choose_below(c, 16);
	const uint8_t *bytes;
	size_t n;

	if (what == 0 && play.client) {
		bool was_asked = container_client_stop(play.client, (uint32_t)choose(c, 4));

		FUZZ_CHECK(!was_asked || play.n_stops++ == 0);
	} else if (what == 1 && play.client) {
		container_client_hand_over(play.client, &events, NULL);
	} else if (what < 4) {
		bytes = choose_bytes(c, choose_below(c, 64), &n);
		feed(bytes, n);
	} else {
		say(c);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct choices c = { data, size };
	uint8_t start[64] = { 0 }, flags = (uint8_t)choose(&c, 1);
	struct container_order order = {
		.start = flags & 1 ? start : NULL,
		.start_size = sizeof(start),
		.is_held = flags & 2,
		.environment = flags & 4 ? "A=1" : NULL,
		.environment_size = 4,
	};
	uv_loop_t loop;
	int rc;

	uv_loop_init(&loop);
	play = (struct play) {
		.is_held = order.is_held,
		.has_environment = order.environment,
		.events_left = flags & 8 ? choose_below(&c, 16) : 1 << 20,
		.sends_left = flags & 16 ? choose_below(&c, 4) : N_REQUESTS,
	};
	play.client = container_client_open(&loop, "", &order, &events, NULL, &rc);
	FUZZ_CHECK(play.client);
	play.connection->is_connected = true;
	play.connection->events->connected(play.connection->owner);
	while (!choices_are_over(&c) && !play.connection->is_closing)
		step(&c);
	container_client_close(play.client);
	agent_frames_fini(&play.connection->frames);
	play.connection->events->closed(play.connection->owner);
	uv_run(&loop, UV_RUN_DEFAULT);
	FUZZ_CHECK(uv_loop_close(&loop) == 0);
	container_log_fini(&play.log);
	return 0;
}
