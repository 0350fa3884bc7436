/*
 * The agent's ends of the two pipes that a program writes its output to. What arrives goes to a listener; what is written
 * line by line may gather for a moment before it does.
 */
#ifndef HEARTH_AGENT_OUTPUT_PIPE_H
#define HEARTH_AGENT_OUTPUT_PIPE_H

#include "loop.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum output_stream { OUTPUT_STDOUT, OUTPUT_STDERR, OUTPUT_N_STREAMS };

struct output_pipe {
	struct loop_source source;
	struct loop_timer rest; /* while it runs, what is written may gather in the pipe */
	enum output_stream stream;
};

/* Embedded in its owner, who may not move it while they are open. */
struct output_pipes {
	struct output_pipe of[OUTPUT_N_STREAMS];
	bool is_paused;
	void (*on_output)(struct output_pipes *pipes, enum output_stream stream, const uint8_t *data, size_t size);
	void (*on_end)(struct output_pipes *pipes); /* nobody can write to either any more, both are closed; or NULL */
};

/* Prepares them, closed. */
void output_pipes_init(struct output_pipes *pipes,
		       void (*on_output)(struct output_pipes *pipes, enum output_stream stream, const uint8_t *data,
					 size_t size),
		       void (*on_end)(struct output_pipes *pipes));

/*
 * Opens them. The other ends are the caller's, who sets them to -1 before. Nothing is read before output_pipes_pause(). 0
 * or -errno.
 */
int output_pipes_open(struct output_pipes *pipes, int write_fds[OUTPUT_N_STREAMS]);

/* What is in them is lost, without a word to the listener. */
void output_pipes_close(struct output_pipes *pipes);

/* True for those that were never opened, too. */
bool output_pipes_are_closed(const struct output_pipes *pipes);

/* Stops or goes on reading, so that who writes blocks once a pipe is full. */
void output_pipes_pause(struct output_pipes *pipes, bool is_paused);

/* Gives the listener all that is in one of them, or in both, now, paused or not. */
void output_pipes_drain_one(struct output_pipes *pipes, enum output_stream stream);
void output_pipes_drain(struct output_pipes *pipes);

#endif
