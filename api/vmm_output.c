#include "api/vmm_output.h"

#include "common/cleanup.h"
#include "common/log.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdlib.h>
#include <unistd.h>

enum {
	CHUNK_SIZE = 4096, /* a write up to this size comes out of a pipe as it went in: lines stay whole */
};

struct vmm_output {
	uv_poll_t poll;
	pid_t pid;
	int fd; /* -1: it is over */
	size_t n_bytes;
	bool is_let_go; /* by its owner */
};

static bool is_ending(const struct vmm_output *o)
{
	return uv_is_closing((const uv_handle_t *)&o->poll);
}

/*
 * Not before: uv_close takes the descriptor's number out of the loop's epoll set, and would take out whoever has got that
 * number since.
 */
static void on_closed(uv_handle_t *handle)
{
	struct vmm_output *o = handle->data;

	close(steal_fd(&o->fd));
	if (o->is_let_go)
		free(o);
}

/* Closes the pipe: the process has ended, or wrote too much. */
static void end(struct vmm_output *o)
{
	uv_close((uv_handle_t *)&o->poll, on_closed);
}

/* False if there was nothing to take. */
static bool take(struct vmm_output *o)
{
	char data[CHUNK_SIZE];
	ssize_t n = read(o->fd, data, sizeof(data));

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return false;
	if (n <= 0) {
		end(o);
		return false;
	}
	o->n_bytes += (size_t)n;
	if (o->n_bytes > VMM_OUTPUT_MAX) {
		log_warn("process %d (hearth-vmm or hearth-netd) wrote more than %d KiB to the log: no more is taken "
			 "of it",
			 (int)o->pid, VMM_OUTPUT_MAX >> 10);
		end(o);
		return false;
	}
	/* There is nowhere to report that the log cannot be written. */
	if (write(STDERR_FILENO, data, (size_t)n) < 0)
		errno = 0;
	return true;
}

static void on_readable(uv_poll_t *poll, int status, int events)
{
	struct vmm_output *o = poll->data;

	(void)events;
	if (status < 0)
		end(o);
	else
		take(o);
}

struct vmm_output *vmm_output_open(uv_loop_t *loop, int *write_fd)
{
	struct vmm_output *o = calloc(1, sizeof(*o));
	AUTO_FD int from = -1, to = -1;
	int ends[2];

	if (!o)
		return NULL;
	if (pipe2(ends, O_CLOEXEC) < 0)
		goto failed;
	from = ends[0];
	to = ends[1];
	/* Only our end: the process should wait rather than lose a line. */
	if (fcntl(from, F_SETFL, O_NONBLOCK) < 0 || uv_poll_init(loop, &o->poll, from) < 0)
		goto failed;
	o->fd = steal_fd(&from);
	o->poll.data = o;
	uv_poll_start(&o->poll, UV_READABLE, on_readable);
	*write_fd = steal_fd(&to);
	return o;
failed:
	free(o);
	return NULL;
}

void vmm_output_set_pid(struct vmm_output *o, pid_t pid)
{
	o->pid = pid;
}

void vmm_output_close(struct vmm_output *o)
{
	if (!o)
		return;
	while (!is_ending(o) && take(o))
		;
	if (!is_ending(o))
		end(o);
	if (o->fd < 0)
		free(o);
	else
		o->is_let_go = true;
}
