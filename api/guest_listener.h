/*
 * The Unix sockets to which a VMM connects for its guest: one for each port of the host's that the guest may connect to
 * (hearth-vmm --vsock PATH: PATH_PORT).
 */
#ifndef HEARTH_API_GUEST_LISTENER_H
#define HEARTH_API_GUEST_LISTENER_H

#include <uv.h>

/* Binds `pipe`, which is initialized and for the caller to close, to `path`, and listens. 0 or -errno. */
int guest_listener_open(uv_pipe_t *pipe, const char *path, int backlog, uv_connection_cb on_connection);

#endif
