#include "api/ready_listener.h"

#include "api/guest_listener.h"

#include <errno.h>
#include <stdlib.h>

struct ready_listener {
	uv_pipe_t listener;
	uv_pipe_t peer;
	bool has_peer;
	bool is_closing;
	int n_open; /* handles that libuv still uses */
	ready_listener_cb callback;
	void *owner;
	struct agent_frames frames;
	uint8_t chunk[256];
};

static void on_closed(uv_handle_t *handle)
{
	struct ready_listener *l = handle->data;

	if (--l->n_open)
		return;
	agent_frames_fini(&l->frames);
	free(l);
}

void ready_listener_close(struct ready_listener *l)
{
	if (!l || l->is_closing)
		return;
	l->is_closing = true;
	uv_close((uv_handle_t *)&l->listener, on_closed); /* unlinks the path */
	if (l->has_peer)
		uv_close((uv_handle_t *)&l->peer, on_closed);
}

static void finish(struct ready_listener *l, const struct agent_ready *ready, const char *problem)
{
	ready_listener_cb callback = l->callback;
	void *owner = l->owner;

	ready_listener_close(l);
	callback(owner, ready, problem);
}

static void on_alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *buf)
{
	struct ready_listener *l = handle->data;

	(void)suggested;
	*buf = uv_buf_init((char *)l->chunk, sizeof(l->chunk));
}

static void on_read(uv_stream_t *stream, ssize_t n, const uv_buf_t *buf)
{
	struct ready_listener *l = stream->data;
	const uint8_t *data = (const uint8_t *)buf->base;
	size_t size = n > 0 ? (size_t)n : 0;
	struct agent_ready ready;
	int rc = n < 0 ? -EPROTO : agent_frames_feed(&l->frames, &data, &size);

	if (l->is_closing || rc == 0)
		return;
	if (rc > 0)
		rc = l->frames.type == AGENT_READY && size == 0
			     ? agent_ready_decode(&ready, l->frames.body, l->frames.size)
			     : -EPROTO;
	if (rc == 0)
		finish(l, &ready, NULL);
	else if (rc == -EPROTONOSUPPORT)
		finish(l, NULL, "the agent in the image speaks another version of the protocol; rebuild the image");
	else
		finish(l, NULL, "the agent did not say that it is ready, but something else");
}

static void on_connection(uv_stream_t *stream, int status)
{
	struct ready_listener *l = stream->data;

	/* A second connection stays in the backlog of one, and goes when the listener does. */
	if (status < 0 || l->has_peer || l->is_closing)
		return;
	if (uv_pipe_init(stream->loop, &l->peer, 0) < 0)
		return;
	l->peer.data = l;
	l->has_peer = true;
	l->n_open++;
	if (uv_accept(stream, (uv_stream_t *)&l->peer) < 0 ||
	    uv_read_start((uv_stream_t *)&l->peer, on_alloc, on_read) < 0)
		finish(l, NULL, "the agent's connection cannot be accepted");
}

struct ready_listener *ready_listener_open(uv_loop_t *loop, const char *path, ready_listener_cb callback, void *owner,
					   int *rc)
{
	struct ready_listener *l = calloc(1, sizeof(*l));

	*rc = l ? uv_pipe_init(loop, &l->listener, 0) : -ENOMEM;
	if (*rc < 0) {
		free(l);
		return NULL;
	}
	l->listener.data = l;
	l->n_open = 1;
	l->callback = callback;
	l->owner = owner;
	*rc = guest_listener_open(&l->listener, path, 1, on_connection);
	if (*rc < 0) {
		ready_listener_close(l);
		return NULL;
	}
	return l;
}
