#include "vmm/virtio/vsock_host.h"

#include "common/cleanup.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

static int open_socket(void)
{
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	return fd < 0 ? -errno : fd;
}

/* Is somebody listening there? Then it is not ours to replace. */
static int is_in_use(const struct sockaddr_un *address)
{
	AUTO_FD int fd = open_socket();

	return fd >= 0 && (connect(fd, (const struct sockaddr *)address, sizeof(*address)) == 0 || errno == EAGAIN);
}

int vsock_host_listen(const char *path, struct error *err)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	AUTO_FD int fd = open_socket();

	if (fd < 0)
		return error_set(err, -fd, "cannot make a socket: %s", strerror(-fd));
	if (strlen(path) > VSOCK_HOST_PATH_MAX)
		return error_set(err, ENAMETOOLONG, "the vsock path %s is too long, at most %d bytes fit", path,
				 VSOCK_HOST_PATH_MAX);
	snprintf(address.sun_path, sizeof(address.sun_path), "%s", path);
	if (is_in_use(&address))
		return error_set(err, EADDRINUSE, "another process listens at %s, choose another --vsock path", path);
	unlink(path);
	if (bind(fd, (struct sockaddr *)&address, sizeof(address)) < 0 || listen(fd, 128) < 0)
		return error_set(err, errno, "cannot listen at %s: %s", path, strerror(errno));
	return steal_fd(&fd);
}

int vsock_host_accept(int listener)
{
	int fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);

	return fd < 0 ? -errno : fd;
}

int vsock_host_connect(const char *path, uint32_t port)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	AUTO_FD int fd = open_socket();

	if (fd < 0)
		return fd;
	if (snprintf(address.sun_path, sizeof(address.sun_path), "%s_%u", path, port) >= (int)sizeof(address.sun_path))
		return -ENAMETOOLONG;
	if (connect(fd, (struct sockaddr *)&address, sizeof(address)) < 0)
		return -errno;
	return steal_fd(&fd);
}

int vsock_host_parse_greeting(const char *data, size_t size, uint32_t *port, size_t *line_size)
{
	static const char verb[] = "CONNECT ";
	const size_t verb_size = sizeof(verb) - 1;
	uint64_t value = 0;

	if (memcmp(data, verb, size < verb_size ? size : verb_size) != 0)
		return -EPROTO;
	for (size_t i = verb_size; i < size; i++) {
		if (data[i] == '\n' && i > verb_size) {
			*port = (uint32_t)value;
			*line_size = i + 1;
			return 1;
		}
		if (data[i] < '0' || data[i] > '9')
			return -EPROTO;
		value = value * 10 + (uint64_t)(data[i] - '0');
		if (value > UINT32_MAX)
			return -EPROTO;
	}
	return size < VSOCK_HOST_GREETING_MAX ? 0 : -EPROTO;
}

int vsock_host_read_greeting(int fd, uint32_t *port)
{
	char data[VSOCK_HOST_GREETING_MAX];
	size_t line_size;
	int status;
	/* Peeked, so that what follows the line stays in the stream. */
	ssize_t size = recv(fd, data, sizeof(data), MSG_PEEK | MSG_DONTWAIT);

	if (size < 0)
		return errno == EAGAIN || errno == EINTR ? 0 : -errno;
	if (size == 0)
		return -EPIPE;
	status = vsock_host_parse_greeting(data, (size_t)size, port, &line_size);
	if (status == 1 && recv(fd, data, line_size, MSG_DONTWAIT) != (ssize_t)line_size)
		return -EIO;
	return status;
}

int vsock_host_greet(int fd, uint32_t port)
{
	char line[VSOCK_HOST_GREETING_MAX];
	int length = snprintf(line, sizeof(line), "OK %u\n", port);

	/* The first bytes on this socket: its buffer has room, or its owner is gone. */
	return send(fd, line, (size_t)length, MSG_DONTWAIT | MSG_NOSIGNAL) == length ? 0 : -EPIPE;
}
