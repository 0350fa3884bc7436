/* How much a socket takes before the other end has taken it. */
#ifndef HEARTH_COMMON_SEND_BUFFER_H
#define HEARTH_COMMON_SEND_BUFFER_H

#include <sys/socket.h>

/* Asks for `size` bytes; who may not have more than net.core.wmem_max gets that. */
static inline void send_buffer_want(int fd, int size)
{
	if (setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &size, sizeof(size)) < 0)
		setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof(size));
}

#endif
