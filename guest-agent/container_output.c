#include "container_output.h"

#include "container_watch.h"
#include "output_pipe.h"

static struct output_pipe pipes[OUTPUT_N_STREAMS];

static void on_output(struct output_pipe *pipe, const uint8_t *data, size_t size)
{
	/* What was written before an error stays before it, and does not push it out of the log from behind. */
	if (pipe->stream == OUTPUT_STDERR)
		output_pipe_drain(&pipes[OUTPUT_STDOUT]);
	container_watch_log(pipe->stream, data, size);
	container_watch_all_go_on();
}

int container_output_open(int write_fds[OUTPUT_N_STREAMS])
{
	int result = 0;

	for (int i = 0; i < OUTPUT_N_STREAMS; i++)
		output_pipe_init(&pipes[i], (enum output_stream)i, on_output, NULL);
	for (int i = 0; result == 0 && i < OUTPUT_N_STREAMS; i++) {
		result = output_pipe_open(&pipes[i], &write_fds[i]);
		if (result == 0)
			output_pipe_pause(&pipes[i], false);
	}
	return result;
}

void container_output_close(void)
{
	for (int i = 0; i < OUTPUT_N_STREAMS; i++) {
		output_pipe_drain(&pipes[i]);
		output_pipe_close(&pipes[i]);
	}
}
