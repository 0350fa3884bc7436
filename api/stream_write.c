#include "api/stream_write.h"

#include <stdlib.h>
#include <string.h>

struct copy {
	uv_write_t request;
	char data[];
};

int stream_write_copy(uv_stream_t *stream, const void *data, size_t size, uv_write_cb written)
{
	struct copy *copy = malloc(sizeof(*copy) + size);
	uv_buf_t buf;
	int rc;

	if (!copy)
		return UV_ENOMEM;
	memcpy(copy->data, data, size);
	copy->request.data = copy;
	buf = uv_buf_init(copy->data, (unsigned int)size);
	rc = uv_write(&copy->request, stream, &buf, 1, written);
	if (rc < 0)
		free(copy);
	return rc;
}
