#include "api/agent_client.h"

#include "api/agent_connection.h"
#include "common/bytes.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>

struct agent_client {
	struct agent_connection connection;
	const struct agent_events *events;
	void *owner;

	/* the order that is not answered yet; request 0 if there is none */
	enum agent_frame_type order;
	uint64_t request;
	uint64_t last_request;

	/* of an execution */
	uint64_t output_limit;
	uint64_t n_output[2]; /* bytes of stdout and stderr */
	uint64_t n_display;   /* bytes of bundles */
	bool has_started;
	bool has_result;
};

/* ---- what the agent says ----------------------------------------------------------------------------------------- */

static int take_output(struct agent_client *c)
{
	bool is_stderr = c->connection.frames.type == AGENT_STDERR;
	uint64_t *n = &c->n_output[is_stderr];

	*n += c->connection.frames.size;
	/* Frames of nothing could go on without an end. */
	if (!c->has_started || c->connection.frames.size == 0 ||
	    *n > c->output_limit + (is_stderr ? AGENT_NOTES_MAX : 0))
		return -EPROTO;
	c->events->output(c->owner, c->connection.frames.type, c->connection.frames.body, c->connection.frames.size);
	return 0;
}

static int take_bundle(struct agent_client *c)
{
	bool is_result = c->connection.frames.type == AGENT_RESULT;
	struct mime_bundle bundle;

	c->n_display += c->connection.frames.size;
	if (!c->has_started || c->n_display > AGENT_DISPLAY_MAX || (is_result && c->has_result) ||
	    mime_bundle_decode(&bundle, c->connection.frames.body, c->connection.frames.size) < 0)
		return -EPROTO;
	c->has_result |= is_result;
	c->events->display(c->owner, &bundle, is_result);
	return 0;
}

static int take_started(struct agent_client *c)
{
	struct bytes b = bytes_from(c->connection.frames.body, c->connection.frames.size);
	uint64_t waited_us = bytes_get_u64(&b);

	if (c->has_started || b.failed || bytes_left(&b))
		return -EPROTO;
	c->has_started = true;
	c->events->started(c->owner, waited_us);
	return 0;
}

static int take_done(struct agent_client *c)
{
	struct agent_done done;

	if (agent_done_decode(&done, c->connection.frames.body, c->connection.frames.size) < 0)
		return -EPROTO;
	if (!c->has_started && (done.outcome == AGENT_OK || done.outcome == AGENT_ERROR))
		return -EPROTO;
	c->request = 0;
	c->events->done(c->owner, &done);
	return 0;
}

static int take_prepared(struct agent_client *c)
{
	char problem[AGENT_SENTENCE_MAX + 1];

	agent_sentence_decode(problem, c->connection.frames.body, c->connection.frames.size);
	c->request = 0;
	if (c->order == AGENT_SETTLE)
		c->events->settled(c->owner, problem);
	else
		c->events->adopted(c->owner, problem);
	return 0;
}

static bool is_about(enum agent_frame_type order, uint16_t type)
{
	if (order == AGENT_SETTLE)
		return type == AGENT_SETTLED;
	if (order == AGENT_ADOPT)
		return type == AGENT_ADOPTED;
	return type != AGENT_SETTLED && type != AGENT_ADOPTED;
}

static int on_frame(void *owner)
{
	struct agent_client *c = owner;

	if (c->request == 0 || c->connection.frames.request != c->request ||
	    !is_about(c->order, c->connection.frames.type))
		return -EPROTO;
	switch (c->connection.frames.type) {
	case AGENT_SETTLED:
	case AGENT_ADOPTED:
		return take_prepared(c);
	case AGENT_STARTED:
		return take_started(c);
	case AGENT_STDOUT:
	case AGENT_STDERR:
		return take_output(c);
	case AGENT_DISPLAY:
	case AGENT_RESULT:
		return take_bundle(c);
	case AGENT_DONE:
		return take_done(c);
	default:
		return -EPROTO;
	}
}

static void on_connected(void *owner)
{
	struct agent_client *c = owner;

	c->events->connected(c->owner);
}

static void on_failed(void *owner, const char *reason, bool broke_protocol)
{
	struct agent_client *c = owner;

	c->events->failed(c->owner, reason, broke_protocol);
}

static const struct agent_connection_events connection_events = {
	.connected = on_connected,
	.frame = on_frame,
	.failed = on_failed,
	.closed = free,
};

struct agent_client *agent_client_connect(uv_loop_t *loop, const char *path, const struct agent_events *events,
					  void *owner, int *rc)
{
	struct agent_client *c = calloc(1, sizeof(*c));

	*rc = c ? agent_connection_open(&c->connection, loop, path, &connection_events, c) : -ENOMEM;
	if (*rc < 0) {
		free(c);
		return NULL;
	}
	c->events = events;
	c->owner = owner;
	return c;
}

void agent_client_close(struct agent_client *c)
{
	if (c)
		agent_connection_close(&c->connection);
}

void agent_client_pause(struct agent_client *c, bool paused)
{
	agent_connection_pause(&c->connection, paused);
}

/* ---- orders ------------------------------------------------------------------------------------------------------ */

static bool can_order(const struct agent_client *c)
{
	return c->connection.is_connected && !c->connection.is_closing && c->request == 0;
}

static void begin_order(struct agent_client *c, enum agent_frame_type order)
{
	c->order = order;
	c->request = ++c->last_request;
}

int agent_client_execute(struct agent_client *c, const struct agent_order *order)
{
	size_t size = AGENT_HEADER_SIZE + AGENT_EXECUTE_PREFIX + order->code_size;
	struct agent_write *w;

	if (!can_order(c) || order->code_size > AGENT_CODE_MAX)
		return -EINVAL;
	w = agent_write_new(size);
	if (!w)
		return -ENOMEM;
	begin_order(c, AGENT_EXECUTE);
	c->output_limit = order->output_limit;
	memset(c->n_output, 0, sizeof(c->n_output));
	c->n_display = 0;
	c->has_started = false;
	c->has_result = false;
	agent_execute_encode(w->data, c->request, order->language, order->flags, order->timeout_ms, order->output_limit,
			     order->code_size);
	if (order->code_size)
		memcpy(w->data + AGENT_HEADER_SIZE + AGENT_EXECUTE_PREFIX, order->code, order->code_size);
	return agent_connection_send(&c->connection, w, size);
}

int agent_client_settle(struct agent_client *c)
{
	struct agent_write *w = can_order(c) ? agent_write_new(AGENT_HEADER_SIZE) : NULL;

	if (!w)
		return can_order(c) ? -ENOMEM : -EINVAL;
	begin_order(c, AGENT_SETTLE);
	agent_empty_encode(w->data, AGENT_SETTLE, c->request);
	return agent_connection_send(&c->connection, w, AGENT_HEADER_SIZE);
}

int agent_client_adopt(struct agent_client *c, enum agent_identity identity, const char *host_name)
{
	struct agent_adoption adoption = { .identity = identity };
	struct agent_write *w = can_order(c) ? agent_write_new(AGENT_ADOPT_MAX) : NULL;
	struct timespec now;

	if (!w)
		return can_order(c) ? -ENOMEM : -EINVAL;
	/* 64 bytes never fail once the kernel's generator is seeded, and getrandom() waits for that. */
	if (getrandom(adoption.entropy, sizeof(adoption.entropy), 0) != sizeof(adoption.entropy))
		abort();
	snprintf(adoption.host_name, sizeof(adoption.host_name), "%s", host_name);
	begin_order(c, AGENT_ADOPT);
	clock_gettime(CLOCK_REALTIME, &now);
	adoption.realtime_ns = (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
	return agent_connection_send(&c->connection, w, agent_adopt_encode(w->data, c->request, &adoption));
}

int agent_client_offer_tokens(struct agent_client *c, const char *secret)
{
	struct agent_write *w = agent_write_new(AGENT_HEADER_SIZE + AGENT_SECRET_SIZE);

	if (!w)
		return -ENOMEM;
	agent_offer_tokens_encode(w->data, secret);
	return agent_connection_send(&c->connection, w, AGENT_HEADER_SIZE + AGENT_SECRET_SIZE);
}

int agent_client_limit(struct agent_client *c, uint32_t n_processes, uint64_t disk_bytes)
{
	struct agent_write *w = c->connection.is_closing ? NULL : agent_write_new(AGENT_LIMIT_SIZE);

	if (!w)
		return -ENOMEM;
	agent_limit_encode(w->data, n_processes, disk_bytes);
	return agent_connection_send(&c->connection, w, AGENT_LIMIT_SIZE);
}

void agent_client_interrupt(struct agent_client *c)
{
	struct agent_write *w;

	if (!c->request || c->order != AGENT_EXECUTE || c->connection.is_closing)
		return;
	w = agent_write_new(AGENT_HEADER_SIZE);
	if (!w)
		return;
	agent_empty_encode(w->data, AGENT_INTERRUPT, c->request);
	agent_connection_send(&c->connection, w, AGENT_HEADER_SIZE);
}
