#include "api/container_client.h"

#include "api/agent_connection.h"
#include "common/agent_container.h"
#include "common/bytes.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum request {
	WATCH = 1, /* START or ATTACH: what is heard of the container has this number, too */
	HAND_OVER,
	RUN,
	STOP,
	N_REQUESTS,
};

enum {
	/* At most so much is read in so long. Of the container's output the agent drops what is not. */
	READ_MAX = 256 << 10,
	READ_PERIOD_MS = 250,
};

struct container_client {
	struct agent_connection connection;
	const struct container_events *events;
	void *owner;
	uv_timer_t reading; /* runs while a period does */
	size_t n_read;      /* in the present period */

	struct agent_write *watch, *hand_over; /* the first orders, until they are sent; the second may be NULL */
	size_t watch_size, hand_over_size;
	unsigned int unanswered; /* requests but WATCH that wait for their one answer: a bit each */
	bool is_held;
	bool is_handed_over;
	bool has_run;     /* RUN was sent */
	bool has_stopped; /* STOP was */
	bool is_usable;
	enum agent_container_state state;
	bool is_over; /* nothing more is told */
};

static void fail(struct container_client *c, const char *reason, bool broke_protocol)
{
	if (c->is_over)
		return;
	c->is_over = true;
	c->events->failed(c->owner, reason, broke_protocol);
}

/* ---- orders ------------------------------------------------------------------------------------------------------ */

/* A frame with its body; NULL if there is no memory. */
static struct agent_write *make(enum agent_frame_type type, enum request request, const void *body, size_t size)
{
	struct agent_write *w = agent_write_new(AGENT_HEADER_SIZE + size);

	if (!w)
		return NULL;
	agent_header_encode(w->data, type, request, size);
	if (size)
		memcpy(w->data + AGENT_HEADER_SIZE, body, size);
	return w;
}

static void send_order(struct container_client *c, enum request request, struct agent_write *w, size_t size)
{
	c->unanswered |= request == WATCH ? 0 : 1u << request;
	if (!w || agent_connection_send(&c->connection, w, AGENT_HEADER_SIZE + size) < 0)
		fail(c, "the agent cannot be given orders", false);
}

void container_client_hand_over(struct container_client *c, const struct container_events *events, void *owner)
{
	c->events = events;
	c->owner = owner;
}

bool container_client_stop(struct container_client *c, uint32_t grace_ms)
{
	uint8_t body[8];
	struct bytes b = bytes_over(body, sizeof(body));

	bytes_put_u32(&b, grace_ms);
	bytes_put_u32(&b, 0);
	if (!c->connection.is_connected || c->is_over || c->has_stopped)
		return false;
	c->has_stopped = true;
	send_order(c, STOP, make(AGENT_CONTAINER_STOP, STOP, body, sizeof(body)), sizeof(body));
	return true;
}

/* ---- what the agent says ----------------------------------------------------------------------------------------- */

/* Goes on from what the container has become. */
static void go_on(struct container_client *c)
{
	bool is_running = c->state == AGENT_CONTAINER_READY || c->state == AGENT_CONTAINER_UNREADY;

	if (c->state == AGENT_CONTAINER_NONE) {
		fail(c, "its guest has no container", false);
		return;
	}
	/* What is handed over to one that is held comes before its entrypoint. */
	if (c->hand_over && c->state >= AGENT_CONTAINER_HELD && c->state <= AGENT_CONTAINER_UNREADY) {
		struct agent_write *w = c->hand_over;

		c->hand_over = NULL;
		send_order(c, HAND_OVER, w, c->hand_over_size);
	}
	if (!c->is_handed_over || c->is_over)
		return;
	if (c->state == AGENT_CONTAINER_HELD && !c->is_held && !c->has_run) {
		c->has_run = true;
		send_order(c, RUN, make(AGENT_CONTAINER_RUN, RUN, NULL, 0), 0);
	} else if (!c->is_usable && (is_running || (c->is_held && c->state == AGENT_CONTAINER_HELD))) {
		c->is_usable = true;
		if (c->events->usable)
			c->events->usable(c->owner);
	}
}

/* True if the frame may be an answer: each order but the first one, of which more is heard, has one. */
static bool take_answer(struct container_client *c)
{
	unsigned int request = 1u << c->connection.frames.request;

	if (c->connection.frames.request == WATCH)
		return true;
	if (!(c->unanswered & request))
		return false;
	c->unanswered &= ~request;
	return true;
}

static int take_state(struct container_client *c)
{
	const struct agent_frames *f = &c->connection.frames;
	char sentence[AGENT_SENTENCE_MAX + 1];
	enum agent_container_state state;

	if (!take_answer(c) || agent_container_state_decode(&state, sentence, f->body, f->size) < 0)
		return -EPROTO;
	if (f->request == HAND_OVER)
		c->is_handed_over = true;
	if (f->request == WATCH)
		c->state = state;
	go_on(c);
	return 0;
}

/* Of one that is ending, the end tells more. */
static int take_refusal(struct container_client *c)
{
	const struct agent_frames *f = &c->connection.frames;
	char sentence[AGENT_SENTENCE_MAX + 1];

	if (!take_answer(c))
		return -EPROTO;
	if (c->state >= AGENT_CONTAINER_ENDING)
		return 0;
	agent_sentence_decode(sentence, f->body, f->size);
	fail(c, sentence[0] ? sentence : "its agent gives no reason", false);
	return 0;
}

static int take_exited(struct container_client *c)
{
	const struct agent_frames *f = &c->connection.frames;
	struct agent_container_exit exit;

	if (f->request != WATCH || agent_container_exit_decode(&exit, f->body, f->size) < 0)
		return -EPROTO;
	c->is_over = true;
	c->events->exited(c->owner, &exit);
	return 0;
}

static int take_dropped(struct container_client *c)
{
	struct bytes b = bytes_from(c->connection.frames.body, c->connection.frames.size);
	uint64_t n = bytes_get_u64(&b);

	if (b.failed || bytes_left(&b) || n == 0 || c->connection.frames.request != WATCH)
		return -EPROTO;
	if (c->events->dropped)
		c->events->dropped(c->owner, n);
	return 0;
}

static int take_output(struct container_client *c)
{
	const struct agent_frames *f = &c->connection.frames;

	if (f->request != WATCH || f->size == 0)
		return -EPROTO;
	if (c->events->output)
		c->events->output(c->owner, f->type == AGENT_STDERR, f->body, f->size);
	return 0;
}

static void on_period_over(uv_timer_t *timer)
{
	struct container_client *c = timer->data;

	c->n_read = 0;
	agent_connection_pause(&c->connection, false);
}

/* Whatever it is: a flood of anything would keep hearthd from its other work. */
static void count_read(struct container_client *c)
{
	if (!uv_is_active((uv_handle_t *)&c->reading))
		uv_timer_start(&c->reading, on_period_over, READ_PERIOD_MS, 0);
	c->n_read += AGENT_HEADER_SIZE + c->connection.frames.size;
	if (c->n_read > READ_MAX)
		agent_connection_pause(&c->connection, true);
}

static int on_frame(void *owner)
{
	struct container_client *c = owner;

	count_read(c);
	if (c->is_over)
		return 0;
	if (c->connection.frames.request == 0 || c->connection.frames.request >= N_REQUESTS)
		return -EPROTO;
	switch (c->connection.frames.type) {
	case AGENT_CONTAINER_STATE:
		return take_state(c);
	case AGENT_CONTAINER_REFUSED:
		return take_refusal(c);
	case AGENT_CONTAINER_DROPPED:
		return take_dropped(c);
	case AGENT_CONTAINER_EXITED:
		return take_exited(c);
	case AGENT_STDOUT:
	case AGENT_STDERR:
		return take_output(c);
	default:
		return -EPROTO;
	}
}

/* ---- the connection ---------------------------------------------------------------------------------------------- */

static void on_connected(void *owner)
{
	struct container_client *c = owner;
	struct agent_write *w = c->watch;

	c->watch = NULL;
	send_order(c, WATCH, w, c->watch_size);
}

static void on_failed(void *owner, const char *reason, bool broke_protocol)
{
	fail(owner, reason, broke_protocol);
}

static void on_timer_closed(uv_handle_t *handle)
{
	struct container_client *c = handle->data;

	free(c->watch);
	free(c->hand_over);
	free(c);
}

static void on_closed(void *owner)
{
	struct container_client *c = owner;

	uv_close((uv_handle_t *)&c->reading, on_timer_closed);
}

static const struct agent_connection_events connection_events = {
	.connected = on_connected,
	.frame = on_frame,
	.failed = on_failed,
	.closed = on_closed,
};

/* One that something is handed over to, or that is to be held, does not run at once. */
static struct agent_write *make_watch(const struct container_order *order)
{
	struct agent_write *w;

	if (!order->start)
		return make(AGENT_CONTAINER_ATTACH, WATCH, NULL, 0);
	w = make(AGENT_CONTAINER_START, WATCH, order->start, order->start_size);
	if (w)
		agent_container_set_hold(w->data + AGENT_HEADER_SIZE, order->is_held || order->environment);
	return w;
}

struct container_client *container_client_open(uv_loop_t *loop, const char *path, const struct container_order *order,
					       const struct container_events *events, void *owner, int *rc)
{
	struct container_client *c = calloc(1, sizeof(*c));

	*rc = -ENOMEM;
	if (!c)
		return NULL;
	c->events = events;
	c->owner = owner;
	c->is_held = order->is_held;
	c->watch_size = order->start ? order->start_size : 0;
	c->watch = make_watch(order);
	c->is_handed_over = !order->environment;
	c->hand_over_size = order->environment_size;
	if (order->environment)
		c->hand_over =
			make(AGENT_CONTAINER_ENVIRONMENT, HAND_OVER, order->environment, order->environment_size);
	if (c->watch && (c->hand_over || !order->environment))
		*rc = agent_connection_open(&c->connection, loop, path, &connection_events, c);
	if (*rc < 0) {
		free(c->watch);
		free(c->hand_over);
		free(c);
		return NULL;
	}
	uv_timer_init(loop, &c->reading);
	c->reading.data = c;
	return c;
}

void container_client_close(struct container_client *c)
{
	if (!c)
		return;
	c->is_over = true;
	agent_connection_close(&c->connection);
}
