/* Builds what an agent sends, right and wrong, in plain memory. */
#ifndef HEARTH_TESTS_AGENT_FRAME_HELPER_H
#define HEARTH_TESTS_AGENT_FRAME_HELPER_H

#include "common/agent_protocol.h"
#include "common/bytes.h"

#include <string.h>

/* Puts a frame with a body of `size` bytes. */
static inline void put_frame(struct bytes *b, uint16_t type, uint64_t request, const void *body, size_t size)
{
	bytes_put_u32(b, (uint32_t)size);
	bytes_put_u16(b, type);
	bytes_put_u16(b, 0);
	bytes_put_u64(b, request);
	bytes_put(b, body, size);
}

static inline void put_mime_entry(struct bytes *b, const char *type, const void *data, size_t size)
{
	bytes_put_u16(b, (uint16_t)strlen(type));
	bytes_put(b, type, strlen(type));
	bytes_put_u32(b, (uint32_t)size);
	bytes_put(b, data, size);
}

static inline void put_done(struct bytes *b, uint64_t request, uint8_t outcome, uint64_t stdout_cut,
			    const char *sentence)
{
	uint8_t body[512];
	struct bytes in = bytes_over(body, sizeof(body));

	bytes_put_u8(&in, outcome);
	bytes_put_u8(&in, 0);
	bytes_put_u16(&in, 0);
	bytes_put_u64(&in, 1234);
	bytes_put_u64(&in, stdout_cut);
	bytes_put_u64(&in, 0);
	bytes_put(&in, sentence, strlen(sentence));
	put_frame(b, AGENT_DONE, request, body, in.position);
}

#endif
