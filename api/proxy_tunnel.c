#include "api/proxy_tunnel.h"

#include "api/proxy_private.h"
#include "api/stream_write.h"

#include <stdlib.h>

enum {
	/* After one side has ended: without a byte from the other. One that both leave open may be idle for ever. */
	HALF_CLOSED_MS = 120000,
};

struct tunnel {
	uv_pipe_t client; /* a stream, of whatever kind */
	uv_timer_t timer;
	uv_shutdown_t shutdown;
	struct ingress *ingress;
	void (*over)(void *owner);
	void *owner;
	unsigned int n_open; /* handles */
	bool is_client_read; /* its bytes are read at the moment */
	bool has_client_ended, has_container_ended;
	bool is_shut_down; /* towards the client */
	bool is_closing;
};

static void on_closed(uv_handle_t *handle)
{
	struct tunnel *t = handle->data;

	if (--t->n_open == 0)
		free(t);
}

void tunnel_end(struct tunnel *t)
{
	if (!t || t->is_closing)
		return;
	t->is_closing = true;
	ingress_close(t->ingress);
	uv_close((uv_handle_t *)&t->client, on_closed);
	uv_close((uv_handle_t *)&t->timer, on_closed);
}

static void finish(struct tunnel *t)
{
	void (*over)(void *owner) = t->over;
	void *owner = t->owner;

	if (t->is_closing)
		return;
	tunnel_end(t);
	over(owner);
}

static void on_timer(uv_timer_t *timer)
{
	finish(timer->data);
}

static void note_progress(struct tunnel *t)
{
	if (!t->is_closing && (t->has_client_ended || t->has_container_ended))
		uv_timer_start(&t->timer, on_timer, HALF_CLOSED_MS, 0);
}

static void finish_if_done(struct tunnel *t)
{
	if (t->has_client_ended && t->is_shut_down && ingress_is_deaf(t->ingress))
		finish(t);
}

/* ---- towards the container --------------------------------------------------------------------------------------- */

static void on_alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *buf)
{
	static char chunk[64 << 10]; /* of all: what is read is done with before the next is */

	(void)handle;
	(void)suggested;
	*buf = uv_buf_init(chunk, sizeof(chunk));
}

static void on_read(uv_stream_t *stream, ssize_t n, const uv_buf_t *buf);

static void read_client(struct tunnel *t, bool is_read)
{
	if (t->is_client_read == is_read || t->has_client_ended || t->is_closing)
		return;
	t->is_client_read = is_read;
	if (is_read)
		uv_read_start((uv_stream_t *)&t->client, on_alloc, on_read);
	else
		uv_read_stop((uv_stream_t *)&t->client);
}

void tunnel_send_container(struct tunnel *t, const char *data, size_t size)
{
	if (t->is_closing)
		return;
	note_progress(t);
	if (!ingress_write(t->ingress, data, size))
		finish(t);
	else if (ingress_backlog(t->ingress) > PROXY_BACKLOG_HIGH)
		read_client(t, false);
}

static void on_read(uv_stream_t *stream, ssize_t n, const uv_buf_t *buf)
{
	struct tunnel *t = stream->data;

	if (n > 0) {
		tunnel_send_container(t, buf->base, (size_t)n);
	} else if (n == UV_EOF) {
		read_client(t, false);
		t->has_client_ended = true;
		note_progress(t);
		ingress_shutdown(t->ingress);
		finish_if_done(t);
	} else if (n < 0) {
		finish(t);
	}
}

static void on_ingress_written(void *owner)
{
	struct tunnel *t = owner;

	note_progress(t);
	if (ingress_backlog(t->ingress) < PROXY_BACKLOG_LOW)
		read_client(t, true);
	finish_if_done(t);
}

/* ---- towards the client ------------------------------------------------------------------------------------------ */

static void on_written(uv_write_t *request, int status)
{
	struct tunnel *t = request->handle->data;

	free(request->data);
	if (t->is_closing)
		return;
	note_progress(t);
	if (status < 0)
		finish(t);
	else if (t->client.write_queue_size < PROXY_BACKLOG_LOW)
		ingress_pause(t->ingress, false);
}

void tunnel_send_client(struct tunnel *t, const char *data, size_t size)
{
	if (t->is_closing || size == 0)
		return;
	note_progress(t);
	if (stream_write_copy((uv_stream_t *)&t->client, data, size, on_written) < 0)
		finish(t);
	else if (t->client.write_queue_size > PROXY_BACKLOG_HIGH)
		ingress_pause(t->ingress, true);
}

static void on_ingress_data(void *owner, const char *data, size_t size)
{
	tunnel_send_client(owner, data, size);
}

static void on_shutdown(uv_shutdown_t *request, int status)
{
	struct tunnel *t = request->handle->data;

	(void)status;
	t->is_shut_down = true;
	if (!t->is_closing)
		finish_if_done(t);
}

static void on_ingress_ended(void *owner, bool is_broken)
{
	struct tunnel *t = owner;

	t->has_container_ended = true;
	note_progress(t);
	if (is_broken || uv_shutdown(&t->shutdown, (uv_stream_t *)&t->client, on_shutdown) < 0)
		finish(t);
}

static const struct ingress_events events = {
	.data = on_ingress_data,
	.ended = on_ingress_ended,
	.written = on_ingress_written,
};

struct tunnel *tunnel_start(uv_loop_t *loop, struct ingress *ingress, int fd, void (*over)(void *owner), void *owner)
{
	struct tunnel *t = calloc(1, sizeof(*t));

	if (!t)
		return NULL;
	uv_pipe_init(loop, &t->client, 0);
	if (uv_pipe_open(&t->client, fd) < 0) {
		t->client.data = t;
		t->n_open = 1;
		uv_close((uv_handle_t *)&t->client, on_closed);
		return NULL;
	}
	uv_timer_init(loop, &t->timer);
	t->n_open = 2;
	t->client.data = t->timer.data = t;
	t->ingress = ingress;
	t->over = over;
	t->owner = owner;
	ingress_hand_over(ingress, &events, t);
	ingress_pause(ingress, false);
	read_client(t, true);
	return t;
}
