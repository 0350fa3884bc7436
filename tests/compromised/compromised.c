#include "tests/compromised/compromised.h"

#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>

enum {
	N_ARGUMENTS = 6,
	DATA_MAX = 8192,
};

/* An order, and its answer: `number` is the result then, negative if it is an errno value. */
struct order {
	int64_t number;
	uint64_t pointers; /* bit n: argument n is an offset in `data` */
	uint64_t arguments[N_ARGUMENTS];
	uint8_t data[DATA_MAX];
};

static struct event_source listener = { .fd = -1 }, connection = { .fd = -1 };
static struct event_loop *orders_loop;
static struct order order;

static void connection_ready(void *opaque, uint32_t events)
{
	ssize_t size = recv(connection.fd, &order, sizeof(order), MSG_DONTWAIT);
	uint64_t *a = order.arguments;
	long result;

	(void)opaque;
	(void)events;
	if (size <= 0) {
		event_loop_remove(orders_loop, &connection);
		close(connection.fd);
		connection.fd = -1;
		return;
	}
	for (int i = 0; i < N_ARGUMENTS; i++)
		if (order.pointers >> i & 1)
			a[i] = (uintptr_t)order.data + a[i] % DATA_MAX;
	result = syscall(order.number, a[0], a[1], a[2], a[3], a[4], a[5]);
	order.number = result < 0 ? -errno : result;
	if (write(connection.fd, &order, sizeof(order)) < 0)
		return;
}

static void listener_ready(void *opaque, uint32_t events)
{
	int fd = accept4(listener.fd, NULL, NULL, SOCK_CLOEXEC);

	(void)opaque;
	(void)events;
	if (fd < 0)
		return;
	if (connection.fd >= 0) {
		close(fd);
		return;
	}
	connection = (struct event_source) { .fd = fd, .ready = connection_ready };
	event_loop_add(orders_loop, &connection, EPOLLIN);
}

void compromised_open(const char *vsock_path)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };

	if (!vsock_path)
		return;
	snprintf(address.sun_path, sizeof(address.sun_path), "%s.orders", vsock_path);
	unlink(address.sun_path);
	listener = (struct event_source) { .ready = listener_ready };
	listener.fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	if (bind(listener.fd, (struct sockaddr *)&address, sizeof(address)) < 0 || listen(listener.fd, 4) < 0)
		abort();
}

void compromised_start(struct event_loop *loop)
{
	orders_loop = loop;
	if (listener.fd >= 0)
		event_loop_add(loop, &listener, EPOLLIN);
}
