#include "api/hang_up_watch.h"

#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

struct hang_up_watch {
	uv_poll_t poll;
	int fd; /* a copy of the socket's */
	void (*callback)(void *data);
	void *data;
};

static void on_closed(uv_handle_t *handle)
{
	struct hang_up_watch *w = handle->data;

	close(w->fd);
	free(w);
}

/* An error of the socket comes here as well, and means the same. */
static void on_poll(uv_poll_t *poll, int status, int events)
{
	struct hang_up_watch *w = poll->data;

	(void)status;
	(void)events;
	uv_poll_stop(poll);
	w->callback(w->data);
}

struct hang_up_watch *hang_up_watch_start(uv_loop_t *loop, int fd, void (*callback)(void *data), void *data)
{
	struct hang_up_watch *w = calloc(1, sizeof(*w));

	if (!w)
		return NULL;
	w->fd = fcntl(fd, F_DUPFD_CLOEXEC, 0);
	if (w->fd < 0 || uv_poll_init(loop, &w->poll, w->fd) < 0) {
		if (w->fd >= 0)
			close(w->fd);
		free(w);
		return NULL;
	}
	w->callback = callback;
	w->data = data;
	w->poll.data = w;
	uv_poll_start(&w->poll, UV_DISCONNECT, on_poll);
	return w;
}

void hang_up_watch_stop(struct hang_up_watch *w)
{
	if (w)
		uv_close((uv_handle_t *)&w->poll, on_closed);
}
