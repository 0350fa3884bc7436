#include "output.h"

size_t output_admit(struct output_limit *output, size_t size)
{
	uint64_t room = output->limit - output->sent;
	/* Once something was cut, nothing follows: the output stays a prefix of what was written. */
	size_t admitted = output->cut ? 0 : size < room ? size : (size_t)room;

	output->sent += admitted;
	output->cut += size - admitted;
	return admitted;
}

void output_discard(struct output_limit *output, size_t size)
{
	output->cut += size;
}
