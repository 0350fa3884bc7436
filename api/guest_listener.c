#include "api/guest_listener.h"

int guest_listener_open(uv_pipe_t *pipe, const char *path, int backlog, uv_connection_cb on_connection)
{
	int rc = uv_pipe_bind(pipe, path);

	/* The VMM that connects for its guest has a user of its own. */
	if (rc == 0)
		rc = uv_pipe_chmod(pipe, UV_WRITABLE);
	return rc < 0 ? rc : uv_listen((uv_stream_t *)pipe, backlog, on_connection);
}
