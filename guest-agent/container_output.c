#include "container_output.h"

#include "container_watch.h"

static struct output_pipes pipes;

static void on_output(struct output_pipes *both, enum output_stream stream, const uint8_t *data, size_t size)
{
	/* What was written before an error stays before it, and does not push it out of the log from behind. */
	if (stream == OUTPUT_STDERR)
		output_pipes_drain_one(both, OUTPUT_STDOUT);
	container_watch_log(stream, data, size);
	container_watch_all_go_on();
}

int container_output_open(int write_fds[OUTPUT_N_STREAMS])
{
	int result;

	output_pipes_init(&pipes, on_output, NULL);
	result = output_pipes_open(&pipes, write_fds);
	if (result == 0)
		output_pipes_pause(&pipes, false);
	return result;
}

void container_output_close(void)
{
	output_pipes_drain(&pipes);
	output_pipes_close(&pipes);
}
