/* Sockets between guest and host. Where there is no VM, as in tests, Unix sockets stand for them. */
#ifndef HEARTH_AGENT_VSOCK_H
#define HEARTH_AGENT_VSOCK_H

/*
 * Both: at a port of vsock, or at `unix_path` if it is not NULL. A non-blocking stream's descriptor, which the caller
 * closes, or -errno.
 */

/* A listener; what lies at `unix_path` is replaced. */
int vsock_listen(unsigned int port, const char *unix_path);

/* To the host. It may not be connected yet: it can be written to once it is. */
int vsock_connect(unsigned int port, const char *unix_path);

#endif
