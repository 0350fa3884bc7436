/*
 * The two streams of the container: read as they come, and put into the log that hosts hear (container_watch.h).
 */
#ifndef HEARTH_AGENT_CONTAINER_OUTPUT_H
#define HEARTH_AGENT_CONTAINER_OUTPUT_H

#include "output_pipe.h"

/* Opens a pipe for each; the ends to write to are the caller's, who sets them to -1 before. 0 or -errno. */
int container_output_open(int write_fds[OUTPUT_N_STREAMS]);

/* Nobody writes any more: reads what is left. */
void container_output_close(void);

#endif
