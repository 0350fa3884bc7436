/*
 * The agent's end of a pipe that a program writes its output to. What arrives goes to a listener; what is written line by
 * line may gather for a moment before it does.
 */
#ifndef HEARTH_AGENT_OUTPUT_PIPE_H
#define HEARTH_AGENT_OUTPUT_PIPE_H

#include "loop.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum output_stream { OUTPUT_STDOUT, OUTPUT_STDERR, OUTPUT_N_STREAMS };

/* Embedded in its owner, who finds itself by `stream` and may not move it while it is open. */
struct output_pipe {
	struct loop_source source;
	struct loop_timer rest; /* while it runs, what is written may gather in the pipe */
	enum output_stream stream;
	bool is_paused;
	void (*on_output)(struct output_pipe *pipe, const uint8_t *data, size_t size);
	void (*on_end)(
		struct output_pipe *pipe); /* every copy of the other end was closed, and so is this one; or NULL */
};

/* Prepares it, closed. */
void output_pipe_init(struct output_pipe *pipe, enum output_stream stream,
		      void (*on_output)(struct output_pipe *pipe, const uint8_t *data, size_t size),
		      void (*on_end)(struct output_pipe *pipe));

/* Opens it; the other end is *write_fd, the caller's. Nothing is read before output_pipe_pause(). 0 or -errno. */
int output_pipe_open(struct output_pipe *pipe, int *write_fd);

/* What is in it is lost, without a word to the listener. */
void output_pipe_close(struct output_pipe *pipe);

/* Stops or goes on reading, so that who writes blocks once it is full. */
void output_pipe_pause(struct output_pipe *pipe, bool is_paused);

/* Gives the listener all that is in the pipe now, paused or not. */
void output_pipe_drain(struct output_pipe *pipe);

#endif
