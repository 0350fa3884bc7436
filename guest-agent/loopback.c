#include "loopback.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <sys/epoll.h>
#include <sys/socket.h>

int loopback_connect(struct loop_source *source, uint16_t port)
{
	const struct sockaddr_in address = {
		.sin_family = AF_INET,
		.sin_port = htons(port),
		.sin_addr = { htonl(INADDR_LOOPBACK) },
	};

	source->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (source->fd < 0 ||
	    (connect(source->fd, (const struct sockaddr *)&address, sizeof(address)) < 0 && errno != EINPROGRESS))
		return -errno;
	return loop_watch(source, EPOLLOUT);
}

/*
 * Where nobody listens, the kernel may choose the very port that is connected to as our own: then the socket has found itself
 * (RFC 9293, 3.5). It happens to whoever tries one of the ports that are chosen from again and again.
 */
static bool has_met_itself(int fd)
{
	struct sockaddr_in own = { 0 }, other = { 0 };
	socklen_t size = sizeof(own);

	if (getsockname(fd, (struct sockaddr *)&own, &size) < 0)
		return false;
	size = sizeof(other);
	return getpeername(fd, (struct sockaddr *)&other, &size) == 0 && own.sin_port == other.sin_port &&
	       own.sin_addr.s_addr == other.sin_addr.s_addr;
}

int loopback_problem(const struct loop_source *source)
{
	static const struct linger at_once = { .l_onoff = 1 };
	int problem = 0;
	socklen_t size = sizeof(problem);

	getsockopt(source->fd, SOL_SOCKET, SO_ERROR, &problem, &size);
	if (problem || !has_met_itself(source->fd))
		return problem;
	/* The port is the server's, that is about to start: without this it would stay in use for a minute. */
	setsockopt(source->fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once));
	return ECONNREFUSED;
}
