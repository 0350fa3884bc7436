/* Writes to a stream of libuv of bytes that their owner does not keep. */
#ifndef HEARTH_API_STREAM_WRITE_H
#define HEARTH_API_STREAM_WRITE_H

#include <stddef.h>
#include <uv.h>

/* Sends a copy. `written` follows, and has to free(request->data). 0, or a negative error: then it does not follow. */
int stream_write_copy(uv_stream_t *stream, const void *data, size_t size, uv_write_cb written);

#endif
