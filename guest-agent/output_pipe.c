#include "output_pipe.h"

#include "common/agent_protocol.h"

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

static void watch(struct output_pipe *pipe)
{
	if (pipe->source.fd >= 0 && !pipe->rest.due_us)
		loop_watch(&pipe->source, pipe->is_paused ? 0 : EPOLLIN);
}

/* Reads at most `size` bytes and passes them on. The number of bytes, 0 at the end, -1 if there are none now. */
static ssize_t forward(struct output_pipe *pipe, size_t size)
{
	/* One for each stream: a listener may drain the other one before it takes what it was given. */
	static uint8_t buffers[OUTPUT_N_STREAMS][AGENT_STREAM_CHUNK_MAX];
	uint8_t *buffer = buffers[pipe->stream];
	ssize_t count = read(pipe->source.fd, buffer, size < AGENT_STREAM_CHUNK_MAX ? size : AGENT_STREAM_CHUNK_MAX);

	if (count > 0)
		pipe->on_output(pipe, buffer, (size_t)count);
	return count;
}

static void on_readable(struct loop_source *source, uint32_t events)
{
	struct output_pipe *pipe = (struct output_pipe *)(void *)source;
	ssize_t count = forward(pipe, AGENT_STREAM_CHUNK_MAX);

	(void)events;
	if (count == 0) {
		output_pipe_close(pipe);
		if (pipe->on_end)
			pipe->on_end(pipe);
	} else if (count > 0 && count < REST_BELOW_BYTES && source->fd >= 0) {
		/* Code that prints line by line would otherwise wake the agent and the host for each line. */
		loop_watch(source, 0);
		loop_timer_start(&pipe->rest, REST_US);
	}
}

static void on_rest_over(struct loop_timer *timer)
{
	watch((struct output_pipe *)(void *)((char *)timer - offsetof(struct output_pipe, rest)));
}

void output_pipe_init(struct output_pipe *pipe, enum output_stream stream,
		      void (*on_output)(struct output_pipe *pipe, const uint8_t *data, size_t size),
		      void (*on_end)(struct output_pipe *pipe))
{
	*pipe = (struct output_pipe) {
		.source = { .fd = -1, .on_events = on_readable },
		.rest = { .on_expiry = on_rest_over },
		.stream = stream,
		.is_paused = true,
		.on_output = on_output,
		.on_end = on_end,
	};
}

int output_pipe_open(struct output_pipe *pipe, int *write_fd)
{
	int fds[2];

	if (pipe2(fds, O_CLOEXEC) < 0)
		return -errno;
	pipe->source.fd = fds[0];
	pipe->is_paused = true;
	*write_fd = fds[1];
	if (fcntl(fds[0], F_SETFL, O_NONBLOCK) < 0)
		return -errno;
	fcntl(fds[0], F_SETPIPE_SZ, PIPE_BYTES); /* fewer wake-ups for much output; the default will do */
	return 0;
}

void output_pipe_close(struct output_pipe *pipe)
{
	loop_timer_stop(&pipe->rest);
	loop_close(&pipe->source);
}

void output_pipe_pause(struct output_pipe *pipe, bool is_paused)
{
	pipe->is_paused = is_paused;
	watch(pipe);
}

void output_pipe_drain(struct output_pipe *pipe)
{
	int pending = 0;

	/* No more than is there now: something in the background may write for ever. */
	if (pipe->source.fd < 0 || ioctl(pipe->source.fd, FIONREAD, &pending) < 0)
		return;
	while (pending > 0) {
		ssize_t count = forward(pipe, (size_t)pending);

		if (count <= 0)
			break;
		pending -= (int)count;
	}
}
