#include "container_output.h"

#include "container_watch.h"
#include "loop.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <unistd.h>

enum {
	PIPE_BYTES = 256 << 10,
	REST_US = 2000,
	REST_BELOW_BYTES = 16 << 10,
};

struct output_pipe {
	struct loop_source source;
	struct loop_timer rest; /* while it runs, what is written may gather in the pipe */
};

static struct output_pipe pipes[CONTAINER_N_STREAMS];

/* The number of bytes that came, 0 if there are none now. */
static size_t read_output(struct output_pipe *pipe)
{
	static uint8_t buffer[AGENT_STREAM_CHUNK_MAX];
	ssize_t count = pipe->source.fd < 0 ? -1 : read(pipe->source.fd, buffer, sizeof(buffer));

	if (count > 0)
		container_watch_log((enum container_stream)(pipe - pipes), buffer, (size_t)count);
	if (count == 0)
		loop_close(&pipe->source);
	return count > 0 ? (size_t)count : 0;
}

/* No more than is there now: something may write for ever. */
static void drain_output(struct output_pipe *pipe)
{
	int pending = 0;

	if (pipe->source.fd < 0 || ioctl(pipe->source.fd, FIONREAD, &pending) < 0)
		return;
	while (pending > 0) {
		size_t count = read_output(pipe);

		if (count == 0)
			break;
		pending -= (int)count;
	}
}

static void on_pipe(struct loop_source *source, uint32_t events)
{
	struct output_pipe *pipe = (struct output_pipe *)(void *)source;
	size_t count;

	(void)events;
	/* What was written before an error stays before it, and does not push it out of the log from behind. */
	if (pipe == &pipes[CONTAINER_STDERR])
		drain_output(&pipes[CONTAINER_STDOUT]);
	count = read_output(pipe);
	/* A program that prints line by line would otherwise wake the agent and the host for each line. */
	if (count > 0 && count < REST_BELOW_BYTES) {
		loop_watch(source, 0);
		loop_timer_start(&pipe->rest, REST_US);
	}
	container_watch_all_go_on();
}

static void on_rest_over(struct loop_timer *timer)
{
	struct output_pipe *pipe = (struct output_pipe *)(void *)((char *)timer - offsetof(struct output_pipe, rest));

	if (pipe->source.fd >= 0)
		loop_watch(&pipe->source, EPOLLIN);
}

/* A pipe whose reading end is watched. */
static int open_output(struct output_pipe *pipe, int *write_fd)
{
	int fds[2];

	if (pipe2(fds, O_CLOEXEC) < 0)
		return -errno;
	*write_fd = fds[1];
	*pipe = (struct output_pipe) {
		.source = { .fd = fds[0], .on_events = on_pipe },
		.rest = { .on_expiry = on_rest_over },
	};
	if (fcntl(fds[0], F_SETFL, O_NONBLOCK) < 0)
		return -errno;
	fcntl(fds[0], F_SETPIPE_SZ, PIPE_BYTES); /* fewer wake-ups for much output; the default will do */
	return loop_watch(&pipe->source, EPOLLIN);
}

int container_output_open(int write_fds[CONTAINER_N_STREAMS])
{
	int result = 0;

	for (int i = 0; result == 0 && i < CONTAINER_N_STREAMS; i++)
		result = open_output(&pipes[i], &write_fds[i]);
	return result;
}

void container_output_close(void)
{
	for (int i = 0; i < CONTAINER_N_STREAMS; i++) {
		while (read_output(&pipes[i]) > 0)
			;
		loop_timer_stop(&pipes[i].rest);
		loop_close(&pipes[i].source);
	}
}
