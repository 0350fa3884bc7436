#include "api/agent_client.h"

#include "common/bytes.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>

struct agent_client {
	uv_pipe_t pipe;
	uv_connect_t connect;
	const struct agent_events *events;
	void *owner;
	char answer[32]; /* the VMM's "OK <n>" line */
	size_t n_answer;
	bool is_connected;
	bool is_paused;
	bool is_closing;
	struct agent_frames frames;

	/* the order that is not answered yet; request 0 if there is none */
	enum agent_frame_type order;
	uint64_t request;
	uint64_t last_request;

	/* of an execution */
	uint64_t output_limit;
	uint64_t n_output[2]; /* bytes of stdout and stderr */
	bool has_started;
	bool has_result;

	uint8_t chunk[64 << 10];
};

struct write {
	uv_write_t request;
	uint8_t data[];
};

static void on_closed(uv_handle_t *handle)
{
	struct agent_client *c = handle->data;

	agent_frames_fini(&c->frames);
	free(c);
}

void agent_client_close(struct agent_client *c)
{
	if (!c || c->is_closing)
		return;
	c->is_closing = true;
	uv_close((uv_handle_t *)&c->pipe, on_closed);
}

static void fail(struct agent_client *c, bool broke_protocol, const char *reason)
{
	if (!c->is_closing)
		c->events->failed(c->owner, reason, broke_protocol);
}

static void on_written(uv_write_t *request, int status)
{
	struct agent_client *c = request->handle->data;

	free(request->data);
	if (status < 0 && status != UV_ECANCELED)
		fail(c, false, "the connection to the agent broke while writing");
}

/* Takes the malloc'd write over. */
static int send_write(struct agent_client *c, struct write *w, size_t size)
{
	uv_buf_t buf = uv_buf_init((char *)w->data, (unsigned int)size);
	int rc;

	w->request.data = w;
	rc = uv_write(&w->request, (uv_stream_t *)&c->pipe, &buf, 1, on_written);
	if (rc < 0)
		free(w);
	return rc;
}

static int take_output(struct agent_client *c)
{
	bool is_stderr = c->frames.type == AGENT_STDERR;
	uint64_t *n = &c->n_output[is_stderr];

	*n += c->frames.size;
	if (*n > c->output_limit + (is_stderr ? AGENT_NOTES_MAX : 0))
		return -EPROTO;
	c->events->output(c->owner, c->frames.type, c->frames.body, c->frames.size);
	return 0;
}

static int take_bundle(struct agent_client *c)
{
	bool is_result = c->frames.type == AGENT_RESULT;
	struct mime_bundle bundle;

	if ((is_result && c->has_result) || mime_bundle_decode(&bundle, c->frames.body, c->frames.size) < 0)
		return -EPROTO;
	c->has_result |= is_result;
	c->events->display(c->owner, &bundle, is_result);
	return 0;
}

static int take_started(struct agent_client *c)
{
	struct bytes b = bytes_from(c->frames.body, c->frames.size);
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

	if (agent_done_decode(&done, c->frames.body, c->frames.size) < 0)
		return -EPROTO;
	c->request = 0;
	c->events->done(c->owner, &done);
	return 0;
}

static int take_prepared(struct agent_client *c)
{
	char problem[AGENT_SENTENCE_MAX + 1];

	agent_sentence_decode(problem, c->frames.body, c->frames.size);
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

/* The whole frame is there. */
static int take_frame(struct agent_client *c)
{
	if (c->request == 0 || c->frames.request != c->request || !is_about(c->order, c->frames.type))
		return -EPROTO;
	switch (c->frames.type) {
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

static void take_frames(struct agent_client *c, const uint8_t *data, size_t size)
{
	while (!c->is_closing) {
		int rc = agent_frames_feed(&c->frames, &data, &size);

		if (rc == 0)
			return;
		if (rc > 0)
			rc = take_frame(c);
		if (rc < 0) {
			fail(c, true, rc == -ENOMEM ? "out of memory" : "the agent broke the protocol");
			return;
		}
	}
}

/* Takes the VMM's answer to CONNECT; what follows it is the agent's. */
static void take_answer(struct agent_client *c, const uint8_t *data, size_t size)
{
	const uint8_t *end = memchr(data, '\n', size);
	size_t n = end ? (size_t)(end - data) : size;

	if (n >= sizeof(c->answer) - c->n_answer) {
		fail(c, true, "the VMM's answer to CONNECT is too long");
		return;
	}
	memcpy(c->answer + c->n_answer, data, n);
	c->n_answer += n;
	if (!end)
		return;
	if (c->n_answer < 3 || memcmp(c->answer, "OK ", 3) != 0) {
		fail(c, true, "the VMM refused a connection to the agent");
		return;
	}
	c->is_connected = true;
	c->events->connected(c->owner);
	take_frames(c, end + 1, size - n - 1);
}

static void on_alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *buf)
{
	struct agent_client *c = handle->data;

	(void)suggested;
	*buf = uv_buf_init((char *)c->chunk, sizeof(c->chunk));
}

static void on_read(uv_stream_t *stream, ssize_t n, const uv_buf_t *buf)
{
	struct agent_client *c = stream->data;

	if (n < 0)
		fail(c, false, c->is_connected ? "the agent closed the connection" : "the agent does not listen");
	else if (!c->is_connected)
		take_answer(c, (const uint8_t *)buf->base, (size_t)n);
	else
		take_frames(c, (const uint8_t *)buf->base, (size_t)n);
}

static void on_connect(uv_connect_t *request, int status)
{
	struct agent_client *c = request->data;
	struct write *w;
	char line[32];
	int length = snprintf(line, sizeof(line), "CONNECT %d\n", AGENT_PORT);

	if (status == UV_ECANCELED || c->is_closing)
		return;
	w = malloc(sizeof(*w) + (size_t)length);
	if (status < 0 || !w) {
		free(w);
		fail(c, false, "the VMM's vsock socket cannot be reached");
		return;
	}
	memcpy(w->data, line, (size_t)length);
	if (send_write(c, w, (size_t)length) < 0 || uv_read_start((uv_stream_t *)&c->pipe, on_alloc, on_read) < 0)
		fail(c, false, "the VMM's vsock socket cannot be used");
}

struct agent_client *agent_client_connect(uv_loop_t *loop, const char *path, const struct agent_events *events,
					  void *owner, int *rc)
{
	struct agent_client *c = calloc(1, sizeof(*c));

	*rc = c ? uv_pipe_init(loop, &c->pipe, 0) : -ENOMEM;
	if (*rc < 0) {
		free(c);
		return NULL;
	}
	c->events = events;
	c->owner = owner;
	c->pipe.data = c;
	c->connect.data = c;
	uv_pipe_connect(&c->connect, &c->pipe, path, on_connect);
	return c;
}

static bool can_order(const struct agent_client *c)
{
	return c->is_connected && !c->is_closing && c->request == 0;
}

static void begin_order(struct agent_client *c, enum agent_frame_type order)
{
	c->order = order;
	c->request = ++c->last_request;
}

int agent_client_execute(struct agent_client *c, const struct agent_order *order)
{
	size_t size = AGENT_HEADER_SIZE + AGENT_EXECUTE_PREFIX + order->code_size;
	struct write *w;

	if (!can_order(c) || order->code_size > AGENT_CODE_MAX)
		return -EINVAL;
	w = malloc(sizeof(*w) + size);
	if (!w)
		return -ENOMEM;
	begin_order(c, AGENT_EXECUTE);
	c->output_limit = order->output_limit;
	memset(c->n_output, 0, sizeof(c->n_output));
	c->has_started = false;
	c->has_result = false;
	agent_execute_encode(w->data, c->request, order->language, order->timeout_ms, order->output_limit,
			     order->code_size);
	if (order->code_size)
		memcpy(w->data + AGENT_HEADER_SIZE + AGENT_EXECUTE_PREFIX, order->code, order->code_size);
	return send_write(c, w, size);
}

int agent_client_settle(struct agent_client *c)
{
	struct write *w = can_order(c) ? malloc(sizeof(*w) + AGENT_HEADER_SIZE) : NULL;

	if (!w)
		return can_order(c) ? -ENOMEM : -EINVAL;
	begin_order(c, AGENT_SETTLE);
	agent_empty_encode(w->data, AGENT_SETTLE, c->request);
	return send_write(c, w, AGENT_HEADER_SIZE);
}

int agent_client_adopt(struct agent_client *c, enum agent_identity identity, const char *host_name)
{
	struct agent_adoption adoption = { .identity = identity };
	struct write *w = can_order(c) ? malloc(sizeof(*w) + AGENT_ADOPT_MAX) : NULL;
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
	return send_write(c, w, agent_adopt_encode(w->data, c->request, &adoption));
}

void agent_client_interrupt(struct agent_client *c)
{
	struct write *w;

	if (!c->request || c->order != AGENT_EXECUTE || c->is_closing)
		return;
	w = malloc(sizeof(*w) + AGENT_HEADER_SIZE);
	if (!w)
		return;
	agent_empty_encode(w->data, AGENT_INTERRUPT, c->request);
	send_write(c, w, AGENT_HEADER_SIZE);
}

void agent_client_pause(struct agent_client *c, bool paused)
{
	if (c->is_paused == paused || !c->is_connected || c->is_closing)
		return;
	c->is_paused = paused;
	if (paused)
		uv_read_stop((uv_stream_t *)&c->pipe);
	else
		uv_read_start((uv_stream_t *)&c->pipe, on_alloc, on_read);
}
