#include "api/ingress.h"

#include "api/stream_write.h"
#include "api/vsock_connect.h"
#include "common/agent_protocol.h"
#include "common/cleanup.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

enum {
	RETRY_MS = 10, /* while the VMM has not accepted those that came before */
};

enum phase { CONNECTING, OPENING, WAITING, OPEN };

struct ingress {
	uv_pipe_t pipe;
	uv_timer_t timer;    /* until it is connected */
	unsigned int n_open; /* handles */
	char path[sizeof(((struct sockaddr_un *)NULL)->sun_path)];
	uv_shutdown_t shutdown;
	const struct ingress_events *events;
	void *owner;
	enum phase phase;
	struct vsock_answer answer;
	bool is_paused;
	bool has_ended; /* nothing more comes */
	bool is_deaf;
	bool is_closing;
};

static void refuse(struct ingress *i, int code, const char *reason)
{
	if (!i->is_closing)
		i->events->refused(i->owner, code, reason);
}

/* ---- writing ----------------------------------------------------------------------------------------------------- */

static void tell_written(struct ingress *i)
{
	if (!i->is_closing && i->phase == OPEN && i->events->written)
		i->events->written(i->owner);
}

/* A container that closed its end may have answered before: that is still to be read. */
static void on_written(uv_write_t *request, int status)
{
	struct ingress *i = request->handle->data;

	free(request->data);
	if (status < 0)
		i->is_deaf = true;
	tell_written(i);
}

/* False if there is no memory. */
static bool send_copy(struct ingress *i, const void *data, size_t size)
{
	int rc = stream_write_copy((uv_stream_t *)&i->pipe, data, size, on_written);

	if (rc < 0 && rc != UV_ENOMEM)
		i->is_deaf = true;
	return rc != UV_ENOMEM;
}

bool ingress_write(struct ingress *i, const void *data, size_t size)
{
	return i->is_deaf || size == 0 || send_copy(i, data, size);
}

size_t ingress_backlog(const struct ingress *i)
{
	return i->is_deaf ? 0 : i->pipe.write_queue_size;
}

bool ingress_is_deaf(const struct ingress *i)
{
	return i->is_deaf;
}

static void on_shutdown(uv_shutdown_t *request, int status)
{
	struct ingress *i = request->handle->data;

	(void)status;
	i->is_deaf = true;
	tell_written(i);
}

void ingress_shutdown(struct ingress *i)
{
	if (i->is_deaf || uv_shutdown(&i->shutdown, (uv_stream_t *)&i->pipe, on_shutdown) < 0)
		i->is_deaf = true;
}

/* ---- reading ----------------------------------------------------------------------------------------------------- */

/* Takes the agent's byte. What follows it is the container's. */
static void take_byte(struct ingress *i, const char *data, size_t size)
{
	int code = (unsigned char)data[0];

	if (code) {
		refuse(i, code, strerror(code));
		return;
	}
	i->phase = OPEN;
	i->events->connected(i->owner);
	if (size > 1 && !i->is_closing)
		i->events->data(i->owner, data + 1, size - 1);
}

static void take_answer(struct ingress *i, const char *data, size_t size)
{
	int rc = vsock_answer_take(&i->answer, &data, &size);

	if (rc < 0) {
		refuse(i, 0,
		       rc == -EMSGSIZE ? "the VMM's answer to CONNECT is too long" : "the VMM refused the connection");
		return;
	}
	if (rc == 0)
		return;
	i->phase = WAITING;
	if (size)
		take_byte(i, data, size);
}

static void on_alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *buf)
{
	/* Of all: what is read is done with before the next is. */
	static char chunk[64 << 10];

	(void)handle;
	(void)suggested;
	*buf = uv_buf_init(chunk, sizeof(chunk));
}

static void on_read(uv_stream_t *stream, ssize_t n, const uv_buf_t *buf)
{
	struct ingress *i = stream->data;

	if (n == 0)
		return;
	if (n < 0) {
		uv_read_stop(stream);
		i->has_ended = true;
		if (i->phase == OPEN)
			i->events->ended(i->owner, n != UV_EOF);
		else
			refuse(i, 0, "the guest does not serve the container's port");
	} else if (i->phase == OPEN) {
		i->events->data(i->owner, buf->base, (size_t)n);
	} else if (i->phase == WAITING) {
		take_byte(i, buf->base, (size_t)n);
	} else {
		take_answer(i, buf->base, (size_t)n);
	}
}

void ingress_pause(struct ingress *i, bool paused)
{
	if (i->is_paused == paused || i->has_ended)
		return;
	i->is_paused = paused;
	if (paused)
		uv_read_stop((uv_stream_t *)&i->pipe);
	else
		uv_read_start((uv_stream_t *)&i->pipe, on_alloc, on_read);
}

/* ---- opening and closing ----------------------------------------------------------------------------------------- */

/* A descriptor, or negative: -EAGAIN while the VMM has not accepted those that came before. Never waits. */
static int connect_to(const char *path)
{
	AUTO_FD int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	struct sockaddr_un address = { .sun_family = AF_UNIX };

	if (fd < 0)
		return -errno;
	snprintf(address.sun_path, sizeof(address.sun_path), "%s", path);
	if (connect(fd, (struct sockaddr *)&address, sizeof(address)) < 0)
		return -errno;
	return steal_fd(&fd);
}

/* uv_pipe_connect() leaves a handle that cannot be used again where the VMM's backlog is full. */
static void on_connect_timer(uv_timer_t *timer)
{
	struct ingress *i = timer->data;
	AUTO_FD int fd = connect_to(i->path);
	char line[VSOCK_LINE_SIZE];
	size_t n = vsock_connect_line(line, AGENT_INGRESS_PORT);

	if (fd == -EAGAIN) {
		uv_timer_start(timer, on_connect_timer, RETRY_MS, 0);
		return;
	}
	i->phase = OPENING;
	if (fd < 0) {
		refuse(i, 0, "the VMM's vsock socket cannot be reached");
		return;
	}
	if (uv_pipe_open(&i->pipe, fd) < 0) {
		refuse(i, 0, "the VMM's vsock socket cannot be used");
		return;
	}
	steal_fd(&fd);
	if (!send_copy(i, line, n) || uv_read_start((uv_stream_t *)&i->pipe, on_alloc, on_read) < 0)
		refuse(i, 0, "the VMM's vsock socket cannot be used");
}

struct ingress *ingress_open(uv_loop_t *loop, const char *path, const struct ingress_events *events, void *owner)
{
	struct ingress *i = calloc(1, sizeof(*i));

	if (!i || uv_pipe_init(loop, &i->pipe, 0) < 0) {
		free(i);
		return NULL;
	}
	i->events = events;
	i->owner = owner;
	i->pipe.data = i;
	uv_timer_init(loop, &i->timer);
	i->timer.data = i;
	i->n_open = 2;
	snprintf(i->path, sizeof(i->path), "%s", path);
	uv_timer_start(&i->timer, on_connect_timer, 0, 0);
	return i;
}

void ingress_hand_over(struct ingress *i, const struct ingress_events *events, void *owner)
{
	i->events = events;
	i->owner = owner;
}

static void on_closed(uv_handle_t *handle)
{
	struct ingress *i = handle->data;

	if (--i->n_open == 0)
		free(i);
}

void ingress_close(struct ingress *i)
{
	if (!i || i->is_closing)
		return;
	i->is_closing = true;
	uv_close((uv_handle_t *)&i->pipe, on_closed);
	uv_close((uv_handle_t *)&i->timer, on_closed);
}
