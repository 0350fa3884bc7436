/* Reading a libuv stream to the end of a buffer. */
#ifndef HEARTH_API_BUFFER_READ_H
#define HEARTH_API_BUFFER_READ_H

#include "api/buffer.h"

#include <uv.h>

/*
 * For a stream's uv_alloc_cb: room for `size` bytes. Its uv_read_cb adds what came to b->size. None if there is no memory:
 * libuv then reports UV_ENOBUFS.
 */
static inline uv_buf_t buffer_read_room(struct buffer *b, unsigned int size)
{
	return buffer_reserve(b, size) ? uv_buf_init(b->data + b->size, size) : uv_buf_init(NULL, 0);
}

#endif
