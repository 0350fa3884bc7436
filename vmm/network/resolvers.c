#include "vmm/network/resolvers.h"

#include "common/cleanup.h"

#include <errno.h>
#include <netdb.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define RESOLV_CONF "/etc/resolv.conf"

/* A host without a way to this resolver has others, perhaps. */
static int open_one(struct resolvers *resolvers, const char *text, struct error *err)
{
	const struct addrinfo hints = { .ai_flags = AI_NUMERICHOST | AI_NUMERICSERV, .ai_socktype = SOCK_DGRAM };
	struct addrinfo *address;
	int sockets[RESOLVER_SOCKETS];
	unsigned n = 0;

	if (getaddrinfo(text, "53", &hints, &address) != 0)
		return error_set(err, EINVAL, "resolver %s: an IP address is needed", text);
	for (; n < RESOLVER_SOCKETS; n++) {
		sockets[n] = socket(address->ai_family, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
		if (sockets[n] < 0)
			break;
		if (connect(sockets[n], address->ai_addr, address->ai_addrlen) < 0) {
			close(sockets[n]);
			break;
		}
	}
	freeaddrinfo(address);
	if (n == RESOLVER_SOCKETS)
		memcpy(&resolvers->sockets[(size_t)resolvers->n++ * RESOLVER_SOCKETS], sockets, sizeof(sockets));
	else
		while (n > 0)
			close(sockets[--n]);
	return 0;
}

static int open_those_of_host(struct resolvers *resolvers)
{
	FILE *file = fopen(RESOLV_CONF, "re");
	char line[256], address[128];

	while (file && resolvers->n < NETD_RESOLVERS_MAX && fgets(line, sizeof(line), file))
		if (sscanf(line, "nameserver %127s", address) == 1)
			open_one(resolvers, address, NULL);
	if (file)
		fclose(file);
	return 0;
}

int resolvers_open(struct resolvers *resolvers, const char *const *addresses, unsigned n, struct error *err)
{
	int status = 0;

	resolvers->n = 0;
	if (n == 0)
		return open_those_of_host(resolvers);
	for (unsigned i = 0; i < n && status == 0; i++)
		status = open_one(resolvers, addresses[i], err);
	return status;
}

int resolvers_ask(const struct resolvers *resolvers, unsigned attempt, unsigned random, const uint8_t *query,
		  size_t size)
{
	unsigned index;

	if (resolvers->n == 0)
		return -ENETUNREACH;
	index = attempt % resolvers->n * RESOLVER_SOCKETS + random % RESOLVER_SOCKETS;
	/* An earlier packet's error is told first, once. */
	for (unsigned i = 0; i < 2; i++)
		if (send(resolvers->sockets[index], query, size, MSG_NOSIGNAL | MSG_DONTWAIT) >= 0)
			return (int)index;
	return -errno;
}
