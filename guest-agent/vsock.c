#include "vsock.h"

#include "common/cleanup.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>
#include <linux/vm_sockets.h>

enum { BACKLOG = 128 }; /* a vsock that is full refuses; the host's requests come in crowds */

struct address {
	union {
		struct sockaddr any;
		struct sockaddr_vm vm;
		struct sockaddr_un un;
	};
	socklen_t size;
};

/* The socket for it, or -errno. */
static int open_socket(struct address *address, unsigned int cid, unsigned int port, const char *unix_path)
{
	int fd;

	if (unix_path && strlen(unix_path) >= sizeof(address->un.sun_path))
		return -ENAMETOOLONG;
	if (unix_path) {
		*address = (struct address) { .un.sun_family = AF_UNIX, .size = sizeof(address->un) };
		memcpy(address->un.sun_path, unix_path, strlen(unix_path) + 1);
	} else {
		*address = (struct address) {
			.vm = { .svm_family = AF_VSOCK, .svm_cid = cid, .svm_port = port },
			.size = sizeof(address->vm),
		};
	}
	fd = socket(address->any.sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	return fd < 0 ? -errno : fd;
}

int vsock_listen(unsigned int port, const char *unix_path)
{
	struct address address;
	AUTO_FD int fd = open_socket(&address, VMADDR_CID_ANY, port, unix_path);

	if (fd < 0)
		return fd;
	if (unix_path)
		unlink(unix_path);
	return bind(fd, &address.any, address.size) < 0 || listen(fd, BACKLOG) < 0 ? -errno : steal_fd(&fd);
}

int vsock_connect(unsigned int port, const char *unix_path)
{
	struct address address;
	AUTO_FD int fd = open_socket(&address, VMADDR_CID_HOST, port, unix_path);

	if (fd < 0)
		return fd;
	return connect(fd, &address.any, address.size) < 0 && errno != EINPROGRESS ? -errno : steal_fd(&fd);
}
