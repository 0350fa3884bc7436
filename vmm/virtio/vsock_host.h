/*
 * The host's side of vsock: Unix stream sockets, by the convention that Firecracker made common. A client connects to
 * PATH, sends "CONNECT <guest port>\n" and reads "OK <host port>\n", then the stream is raw. A guest that connects to a
 * host port reaches the socket PATH_<port>. All descriptors are non-blocking and close-on-exec.
 */
#ifndef HEARTH_VMM_VIRTIO_VSOCK_HOST_H
#define HEARTH_VMM_VIRTIO_VSOCK_HOST_H

#include "common/error.h"

#include <stddef.h>
#include <stdint.h>

enum {
	VSOCK_HOST_PATH_MAX = 96,     /* so that "_<port>" still fits a socket address */
	VSOCK_HOST_GREETING_MAX = 32, /* bytes of the CONNECT line with its newline */
};

/*
 * Listens at `path`, replacing a socket that a dead process left there. The descriptor, or negative with *err set.
 */
int vsock_host_listen(const char *path, struct error *err);

/* The next client of a listener, or -errno (-EAGAIN: none). */
int vsock_host_accept(int listener);

/* Connects to `path`_`port`. The descriptor or -errno; never waits. */
int vsock_host_connect(const char *path, uint32_t port);

/*
 * The port of a CONNECT line in data[0..size), of which *line_size bytes are the line. 1 if it is there, 0 if more
 * bytes are needed, -EPROTO if it is no such line.
 */
int vsock_host_parse_greeting(const char *data, size_t size, uint32_t *port, size_t *line_size);

/* Reads a client's CONNECT line and nothing behind it. Returns like the parser, or -errno; -EPIPE at end of stream. */
int vsock_host_read_greeting(int fd, uint32_t *port);

/* Sends "OK <port>\n". 0 or -errno. */
int vsock_host_greet(int fd, uint32_t port);

#endif
