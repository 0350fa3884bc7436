/*
 * The last output of a container, in the order in which it was read. Whoever reads it has a place of his own in it; one
 * that is too slow loses the oldest bytes and learns how many.
 */
#ifndef HEARTH_AGENT_CONTAINER_LOG_H
#define HEARTH_AGENT_CONTAINER_LOG_H

#include "output_pipe.h"
#include "common/agent_container.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* All zero is an empty one. The ring holds records: u8 stream, u16 size, the bytes. */
struct container_log {
	uint8_t ring[AGENT_CONTAINER_LOG_MAX];
	uint64_t first, end; /* of the oldest record, and behind the newest: positions that only grow */
	uint64_t forgotten;  /* bytes of output that were in records before `first` */
};

/* All zero is at the start of all output. */
struct container_log_reader {
	uint64_t at;   /* of its next record */
	uint64_t read; /* bytes of output before that, read or lost */
};

void container_log_append(struct container_log *log, enum output_stream stream, const uint8_t *data, size_t size);

bool container_log_has_more(const struct container_log *log, const struct container_log_reader *reader);

/* How many bytes of output the reader has lost at its place, which is then behind them. */
uint64_t container_log_skip_lost(const struct container_log *log, struct container_log_reader *reader);

/*
 * The next bytes, of one stream: at most `size`, which has to be at least a record's CONTAINER_LOG_RECORD_MAX. 0 at the
 * end.
 */
size_t container_log_read(const struct container_log *log, struct container_log_reader *reader,
			  enum output_stream *stream, uint8_t *data, size_t size);

enum { CONTAINER_LOG_RECORD_MAX = 4096 }; /* bytes of output in a record */

#endif
