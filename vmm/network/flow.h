/*
 * The connections that a guest has open: TCP through passt, and UDP, where a connection is what goes between two ports until
 * nothing does any more. A table of fixed size.
 */
#ifndef HEARTH_NETWORK_FLOW_H
#define HEARTH_NETWORK_FLOW_H

#include "vmm/network/dns.h"
#include "vmm/network/frame.h"

enum {
	FLOWS_MAX = 1024,
	FLOWS_UDP_MAX = 128, /* of them: each is a socket, and a port of the host's */
	FLOW_BUCKETS = 1024,

	/* Seconds without a packet, after which a connection has ended. */
	FLOW_SECONDS_OPENING = 130, /* TCP that nobody answers: what Linux tries for */
	FLOW_SECONDS_OPEN = 7200,   /* passt's own limit */
	FLOW_SECONDS_HALF = 300,    /* TCP that one side has ended */
	FLOW_SECONDS_ENDED = 5,     /* TCP that both sides have ended: the last acknowledgements */
	FLOW_SECONDS_UDP = 60,
};

struct flow {
	uint8_t protocol; /* PROTOCOL_TCP or PROTOCOL_UDP; 0: free */
	bool is_established, has_guest_ended, has_peer_ended;
	uint16_t port, destination_port;
	uint32_t destination;
	enum reason reason; /* why it is allowed */
	int fd;             /* of UDP */
	uint64_t sent, received;
	int64_t began_ns, last_ns;
	char domain[DNS_NAME_MAX + 1]; /* "": unknown */
	uint16_t next;                 /* in its bucket or among the free ones, + 1; 0: none */
};

struct flows {
	unsigned n, n_udp;
	uint16_t first_free, n_used; /* entries from n_used on were never used, so that their memory is not touched */
	uint16_t buckets[FLOW_BUCKETS];
	struct flow entries[FLOWS_MAX];
};

/* NULL if there is none. The ports and addresses as the guest's packets have them. */
struct flow *flows_find(struct flows *flows, uint8_t protocol, uint16_t port, uint32_t destination,
			uint16_t destination_port);

/* A new one, with these set; NULL if the table is full. There must be none of this kind yet. */
struct flow *flows_add(struct flows *flows, uint8_t protocol, uint16_t port, uint32_t destination,
		       uint16_t destination_port, int64_t now_ns);

void flows_remove(struct flows *flows, struct flow *flow);

/* Has nothing happened for too long? */
bool flow_is_over(const struct flow *flow, int64_t now_ns);

#endif
