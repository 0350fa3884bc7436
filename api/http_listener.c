#include "api/http_listener.h"

#include "common/cleanup.h"

#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

enum {
	BACKLOG = 512,
};

/* Takes "host:port" apart. 0 or -EINVAL. */
static int split(const char *where, char host[256], char port[16])
{
	const char *colon = strrchr(where, ':');
	const char *begin = where, *end = colon;

	if (!colon || strlen(colon + 1) == 0 || strlen(colon + 1) > 5 ||
	    strspn(colon + 1, "0123456789") != strlen(colon + 1))
		return -EINVAL;
	if (*where == '[') {
		begin++;
		end = strchr(where, ']');
		if (!end || end + 1 != colon)
			return -EINVAL;
	}
	if (end == begin || end - begin > 255)
		return -EINVAL;
	memcpy(host, begin, (size_t)(end - begin));
	host[end - begin] = '\0';
	snprintf(port, 16, "%s", colon + 1);
	return 0;
}

static int listen_on(const struct addrinfo *a)
{
	AUTO_FD int fd = socket(a->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	int one = 1;

	if (fd < 0)
		return -errno;
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	/* Each connection that it accepts has this, too: a client that vanished is missed, also if nothing is sent to it. */
	setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &one, sizeof(one));
	if (bind(fd, a->ai_addr, a->ai_addrlen) < 0 || listen(fd, BACKLOG) < 0)
		return -errno;
	return steal_fd(&fd);
}

static void describe(int fd, char *address, size_t size)
{
	struct sockaddr_storage s = { 0 };
	socklen_t length = sizeof(s);
	char host[64] = "?", port[16] = "?";

	if (getsockname(fd, (struct sockaddr *)&s, &length) == 0)
		getnameinfo((struct sockaddr *)&s, length, host, sizeof(host), port, sizeof(port),
			    NI_NUMERICHOST | NI_NUMERICSERV);
	snprintf(address, size, s.ss_family == AF_INET6 ? "[%s]:%s" : "%s:%s", host, port);
}

int http_listen(const char *where, char *address, size_t size, struct error *err)
{
	const struct addrinfo hints = { .ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE };
	struct addrinfo *found;
	char host[256], port[16];
	int fd, rc;

	if (split(where, host, port) < 0)
		return error_set(err, EINVAL, "listen \"%s\" is not HOST:PORT, e.g. 127.0.0.1:8080", where);
	rc = getaddrinfo(host, port, &hints, &found);
	if (rc != 0)
		return error_set(err, EINVAL, "listen \"%s\": %s", where, gai_strerror(rc));
	fd = listen_on(found);
	freeaddrinfo(found);
	if (fd < 0)
		return error_set(err, -fd, "cannot listen on %s: %s", where, strerror(-fd));
	describe(fd, address, size);
	return fd;
}

bool http_is_loopback(int fd)
{
	struct sockaddr_storage s = { 0 };
	socklen_t length = sizeof(s);

	if (getsockname(fd, (struct sockaddr *)&s, &length) < 0)
		return false;
	if (s.ss_family == AF_INET)
		return ntohl(((const struct sockaddr_in *)&s)->sin_addr.s_addr) >> 24 == 127;
	return s.ss_family == AF_INET6 && IN6_IS_ADDR_LOOPBACK(&((const struct sockaddr_in6 *)&s)->sin6_addr);
}
