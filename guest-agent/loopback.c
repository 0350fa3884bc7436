#include "loopback.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
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

int loopback_problem(const struct loop_source *source)
{
	int problem = 0;
	socklen_t size = sizeof(problem);

	getsockopt(source->fd, SOL_SOCKET, SO_ERROR, &problem, &size);
	return problem;
}
