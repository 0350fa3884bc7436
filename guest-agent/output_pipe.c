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

static struct output_pipes *pair_of(struct output_pipe *pipe)
{
	struct output_pipe *first = pipe - pipe->stream;

	return (struct output_pipes *)(void *)((char *)first - offsetof(struct output_pipes, of));
}

static void watch(struct output_pipe *pipe)
{
	if (pipe->source.fd >= 0 && !pipe->rest.due_us)
		loop_watch(&pipe->source, pair_of(pipe)->is_paused ? 0 : EPOLLIN);
}

/* Reads at most `size` bytes and passes them on. The number of bytes, 0 at the end, -1 if there are none now. */
static ssize_t forward(struct output_pipe *pipe, size_t size)
{
	/* One for each stream: a listener may drain the other one before it takes what it was given. */
	static uint8_t buffers[OUTPUT_N_STREAMS][AGENT_STREAM_CHUNK_MAX];
	struct output_pipes *pipes = pair_of(pipe);
	uint8_t *buffer = buffers[pipe->stream];
	ssize_t count = read(pipe->source.fd, buffer, size < AGENT_STREAM_CHUNK_MAX ? size : AGENT_STREAM_CHUNK_MAX);

	if (count > 0)
		pipes->on_output(pipes, pipe->stream, buffer, (size_t)count);
	return count;
}

static void close_one(struct output_pipe *pipe)
{
	loop_timer_stop(&pipe->rest);
	loop_close(&pipe->source);
}

static void on_readable(struct loop_source *source, uint32_t events)
{
	struct output_pipe *pipe = (struct output_pipe *)(void *)source;
	struct output_pipes *pipes = pair_of(pipe);
	ssize_t count = forward(pipe, AGENT_STREAM_CHUNK_MAX);

	(void)events;
	if (count == 0) {
		close_one(pipe);
		if (pipes->on_end && output_pipes_are_closed(pipes))
			pipes->on_end(pipes);
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

void output_pipes_init(struct output_pipes *pipes,
		       void (*on_output)(struct output_pipes *pipes, enum output_stream stream, const uint8_t *data,
					 size_t size),
		       void (*on_end)(struct output_pipes *pipes))
{
	*pipes = (struct output_pipes) { .is_paused = true, .on_output = on_output, .on_end = on_end };
	for (int i = 0; i < OUTPUT_N_STREAMS; i++)
		pipes->of[i] = (struct output_pipe) {
			.source = { .fd = -1, .on_events = on_readable },
			.rest = { .on_expiry = on_rest_over },
			.stream = (enum output_stream)i,
		};
}

static int open_one(struct output_pipe *pipe, int *write_fd)
{
	int fds[2];

	if (pipe2(fds, O_CLOEXEC) < 0)
		return -errno;
	pipe->source.fd = fds[0];
	*write_fd = fds[1];
	if (fcntl(fds[0], F_SETFL, O_NONBLOCK) < 0)
		return -errno;
	fcntl(fds[0], F_SETPIPE_SZ, PIPE_BYTES); /* fewer wake-ups for much output; the default will do */
	return 0;
}

int output_pipes_open(struct output_pipes *pipes, int write_fds[OUTPUT_N_STREAMS])
{
	int result = 0;

	pipes->is_paused = true;
	for (int i = 0; result == 0 && i < OUTPUT_N_STREAMS; i++)
		result = open_one(&pipes->of[i], &write_fds[i]);
	return result;
}

void output_pipes_close(struct output_pipes *pipes)
{
	for (int i = 0; i < OUTPUT_N_STREAMS; i++)
		close_one(&pipes->of[i]);
}

bool output_pipes_are_closed(const struct output_pipes *pipes)
{
	for (int i = 0; i < OUTPUT_N_STREAMS; i++)
		if (pipes->of[i].source.fd >= 0)
			return false;
	return true;
}

void output_pipes_pause(struct output_pipes *pipes, bool is_paused)
{
	if (pipes->is_paused == is_paused)
		return;
	pipes->is_paused = is_paused;
	for (int i = 0; i < OUTPUT_N_STREAMS; i++)
		watch(&pipes->of[i]);
}

void output_pipes_drain_one(struct output_pipes *pipes, enum output_stream stream)
{
	struct output_pipe *pipe = &pipes->of[stream];
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

void output_pipes_drain(struct output_pipes *pipes)
{
	for (int i = 0; i < OUTPUT_N_STREAMS; i++)
		output_pipes_drain_one(pipes, (enum output_stream)i);
}
