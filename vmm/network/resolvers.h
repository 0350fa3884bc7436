/* The host's resolvers, and the sockets to ask them. */
#ifndef HEARTH_NETWORK_RESOLVERS_H
#define HEARTH_NETWORK_RESOLVERS_H

#include "common/error.h"
#include "vmm/network/options.h"

#include <stddef.h>
#include <stdint.h>

enum {
	RESOLVER_SOCKETS = 4, /* for each, from ports that the kernel chose: one of them is taken at random */
	RESOLVER_SOCKETS_MAX = NETD_RESOLVERS_MAX * RESOLVER_SOCKETS,
};

struct resolvers {
	unsigned n;
	int sockets[RESOLVER_SOCKETS_MAX];
};

/*
 * Connects sockets to each address; without addresses, to those that /etc/resolv.conf names. A machine may have none: nothing is
 * resolved then. Negative with *err set if an address is none.
 */
int resolvers_open(struct resolvers *resolvers, const char *const *addresses, unsigned n, struct error *err);

/* Asks resolver `attempt` modulo their number, from the socket that `random` chooses. Its index, or -errno. */
int resolvers_ask(const struct resolvers *resolvers, unsigned attempt, unsigned random, const uint8_t *query,
		  size_t size);

#endif
