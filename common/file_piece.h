/*
 * Which bytes of a file an order to read a part of it means. Both ends of the agent's protocol reckon by this, so that
 * neither needs to believe the other's figures.
 */
#ifndef HEARTH_COMMON_FILE_PIECE_H
#define HEARTH_COMMON_FILE_PIECE_H

#include "common/agent_protocol.h"

/*
 * Of a file of `size` bytes: how many there are to read, at most `length`, from *start on. `offset` may be
 * AGENT_FILE_FROM_END. 0, with *start at the file's end, where nothing of the file is meant. Any figures will do.
 */
static inline uint64_t file_piece(uint64_t size, uint64_t offset, uint64_t length, uint64_t *start)
{
	uint64_t left;

	if (offset == AGENT_FILE_FROM_END)
		offset = length < size ? size - length : 0;
	if (length == 0 || offset > size)
		offset = size;
	left = size - offset;
	*start = offset;
	return length < left ? length : left;
}

#endif
