/*
 * The limit on what an execution may send of one of its output streams.
 */
#ifndef HEARTH_AGENT_OUTPUT_H
#define HEARTH_AGENT_OUTPUT_H

#include <stddef.h>
#include <stdint.h>

struct output_limit {
	uint64_t limit; /* bytes that may be sent */
	uint64_t sent;
	uint64_t cut; /* bytes that came after that */
};

/* How many of the next `size` bytes may be sent; they count as sent, the others as cut. */
size_t output_admit(struct output_limit *output, size_t size);

/* Counts bytes that are thrown away whatever the limit says. */
void output_discard(struct output_limit *output, size_t size);

#endif
