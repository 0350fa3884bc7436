#include "vmm/network/flow.h"

#include "vmm/network/nanoseconds.h"

#include <string.h>

/* A guest that makes all of them collide makes its own 1,024 connections slow, and nobody else's. */
static unsigned bucket_of(uint8_t protocol, uint16_t port, uint32_t destination, uint16_t destination_port)
{
	uint64_t key = (uint64_t)destination << 32 | (uint64_t)port << 16 | destination_port;

	key = (key ^ protocol) * 0x9e3779b97f4a7c15u;
	return (unsigned)(key >> 54) % FLOW_BUCKETS;
}

struct flow *flows_find(struct flows *flows, uint8_t protocol, uint16_t port, uint32_t destination,
			uint16_t destination_port)
{
	const unsigned bucket = bucket_of(protocol, port, destination, destination_port);

	for (unsigned i = flows->buckets[bucket]; i != 0; i = flows->entries[i - 1].next) {
		struct flow *flow = &flows->entries[i - 1];

		if (flow->protocol == protocol && flow->port == port && flow->destination == destination &&
		    flow->destination_port == destination_port)
			return flow;
	}
	return NULL;
}

struct flow *flows_add(struct flows *flows, uint8_t protocol, uint16_t port, uint32_t destination,
		       uint16_t destination_port, int64_t now_ns)
{
	const unsigned bucket = bucket_of(protocol, port, destination, destination_port);
	struct flow *flow;

	if (protocol == PROTOCOL_UDP && flows->n_udp == FLOWS_UDP_MAX)
		return NULL;
	if (flows->first_free) {
		flow = &flows->entries[flows->first_free - 1];
		flows->first_free = flow->next;
	} else if (flows->n_used < FLOWS_MAX) {
		flow = &flows->entries[flows->n_used++];
	} else {
		return NULL;
	}
	*flow = (struct flow) {
		.protocol = protocol,
		.port = port,
		.destination = destination,
		.destination_port = destination_port,
		.fd = -1,
		.began_ns = now_ns,
		.last_ns = now_ns,
		.next = flows->buckets[bucket],
	};
	flows->buckets[bucket] = (uint16_t)(flow - flows->entries + 1);
	flows->n++;
	flows->n_udp += protocol == PROTOCOL_UDP;
	return flow;
}

void flows_remove(struct flows *flows, struct flow *flow)
{
	const unsigned bucket = bucket_of(flow->protocol, flow->port, flow->destination, flow->destination_port);
	const uint16_t own = (uint16_t)(flow - flows->entries + 1);
	uint16_t *link = &flows->buckets[bucket];

	while (*link != own)
		link = &flows->entries[*link - 1].next;
	*link = flow->next;
	flows->n--;
	flows->n_udp -= flow->protocol == PROTOCOL_UDP;
	flow->protocol = 0;
	flow->next = flows->first_free;
	flows->first_free = own;
}

bool flow_is_over(const struct flow *flow, int64_t now_ns)
{
	int64_t seconds;

	if (flow->protocol == PROTOCOL_UDP)
		seconds = FLOW_SECONDS_UDP;
	else if (flow->has_guest_ended && flow->has_peer_ended)
		seconds = FLOW_SECONDS_ENDED;
	else if (flow->has_guest_ended || flow->has_peer_ended)
		seconds = FLOW_SECONDS_HALF;
	else
		seconds = flow->is_established ? FLOW_SECONDS_OPEN : FLOW_SECONDS_OPENING;
	return now_ns - flow->last_ns > seconds * NS_PER_SECOND;
}
