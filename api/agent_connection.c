#include "api/agent_connection.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static void fail(struct agent_connection *c, bool broke_protocol, const char *reason)
{
	if (!c->is_closing)
		c->events->failed(c->owner, reason, broke_protocol);
}

/* ---- writing ----------------------------------------------------------------------------------------------------- */

struct agent_write *agent_write_new(size_t size)
{
	return malloc(sizeof(struct agent_write) + size);
}

static void on_written(uv_write_t *request, int status)
{
	struct agent_connection *c = request->handle->data;

	free(request->data);
	if (status < 0 && status != UV_ECANCELED)
		fail(c, false, "the connection to the agent broke while writing");
	else if (status == 0 && !c->is_closing && c->events->written)
		c->events->written(c->owner);
}

int agent_connection_send(struct agent_connection *c, struct agent_write *write, size_t size)
{
	uv_buf_t buf = uv_buf_init((char *)write->data, (unsigned int)size);
	int rc;

	write->request.data = write;
	rc = uv_write(&write->request, (uv_stream_t *)&c->pipe, &buf, 1, on_written);
	if (rc < 0)
		free(write);
	return rc;
}

size_t agent_connection_backlog(const struct agent_connection *c)
{
	return c->pipe.write_queue_size;
}

/* ---- reading ----------------------------------------------------------------------------------------------------- */

static void take_frames(struct agent_connection *c, const uint8_t *data, size_t size)
{
	while (!c->is_closing) {
		int rc = agent_frames_feed(&c->frames, &data, &size);

		if (rc == 0)
			return;
		if (rc > 0)
			rc = c->events->frame(c->owner);
		if (rc < 0) {
			fail(c, true, rc == -ENOMEM ? "out of memory" : "the agent broke the protocol");
			return;
		}
	}
}

/* Takes the VMM's answer to CONNECT; what follows it is the agent's. */
static void take_answer(struct agent_connection *c, const char *data, size_t size)
{
	int rc = vsock_answer_take(&c->answer, &data, &size);

	if (rc < 0) {
		fail(c, true,
		     rc == -EMSGSIZE ? "the VMM's answer to CONNECT is too long"
				     : "the VMM refused a connection to the agent");
		return;
	}
	if (rc == 0)
		return;
	c->is_connected = true;
	c->events->connected(c->owner);
	take_frames(c, (const uint8_t *)data, size);
}

static void on_alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *buf)
{
	struct agent_connection *c = handle->data;

	(void)suggested;
	*buf = uv_buf_init((char *)c->chunk, sizeof(c->chunk));
}

static void on_read(uv_stream_t *stream, ssize_t n, const uv_buf_t *buf)
{
	struct agent_connection *c = stream->data;

	if (n < 0)
		fail(c, false, c->is_connected ? "the agent closed the connection" : "the agent does not listen");
	else if (!c->is_connected)
		take_answer(c, buf->base, (size_t)n);
	else
		take_frames(c, (const uint8_t *)buf->base, (size_t)n);
}

void agent_connection_pause(struct agent_connection *c, bool paused)
{
	if (c->is_paused == paused || !c->is_connected || c->is_closing)
		return;
	c->is_paused = paused;
	if (paused)
		uv_read_stop((uv_stream_t *)&c->pipe);
	else
		uv_read_start((uv_stream_t *)&c->pipe, on_alloc, on_read);
}

/* ---- opening and closing ----------------------------------------------------------------------------------------- */

static void on_connect(uv_connect_t *request, int status)
{
	struct agent_connection *c = request->data;
	struct agent_write *w;
	char line[VSOCK_LINE_SIZE];
	size_t length = vsock_connect_line(line, AGENT_PORT);

	if (status == UV_ECANCELED || c->is_closing)
		return;
	w = agent_write_new(length);
	if (status < 0 || !w) {
		free(w);
		fail(c, false, "the VMM's vsock socket cannot be reached");
		return;
	}
	memcpy(w->data, line, length);
	if (agent_connection_send(c, w, length) < 0 || uv_read_start((uv_stream_t *)&c->pipe, on_alloc, on_read) < 0)
		fail(c, false, "the VMM's vsock socket cannot be used");
}

int agent_connection_open(struct agent_connection *c, uv_loop_t *loop, const char *path,
			  const struct agent_connection_events *events, void *owner)
{
	int rc = uv_pipe_init(loop, &c->pipe, 0);

	if (rc < 0)
		return rc;
	c->events = events;
	c->owner = owner;
	c->pipe.data = c;
	c->connect.data = c;
	uv_pipe_connect(&c->connect, &c->pipe, path, on_connect);
	return 0;
}

static void on_closed(uv_handle_t *handle)
{
	struct agent_connection *c = handle->data;

	agent_frames_fini(&c->frames);
	c->events->closed(c->owner);
}

void agent_connection_close(struct agent_connection *c)
{
	if (c->is_closing)
		return;
	c->is_closing = true;
	uv_close((uv_handle_t *)&c->pipe, on_closed);
}
