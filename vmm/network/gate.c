#include "vmm/network/gate.h"

#include <string.h>
#include <sys/types.h>

static const char *protocol_name(const struct packet *packet)
{
	if (packet->ethertype == FRAME_IPV6)
		return "ipv6";
	if (packet->ethertype != FRAME_IPV4)
		return "ethernet";
	switch (packet->protocol) {
	case PROTOCOL_TCP:
		return "tcp";
	case PROTOCOL_UDP:
		return "udp";
	case PROTOCOL_ICMP:
		return "icmp";
	default:
		return "ip";
	}
}

void gate_open(struct gate *gate, const struct policy *policy, const struct gate_output *output, int log_fd)
{
	gate->policy = policy;
	gate->output = *output;
	gate->connections =
		(struct rate) { .per_second = GATE_CONNECTIONS_PER_SECOND, .at_once = GATE_CONNECTIONS_AT_ONCE };
	gate->questions_rate = (struct rate) { .per_second = GATE_NAMES_PER_SECOND, .at_once = GATE_NAMES_AT_ONCE };
	connection_log_open(&gate->log, log_fd);
}

void gate_log_denied(struct gate *gate, const char *protocol, const struct packet *packet, enum reason reason,
		     int64_t now_ns)
{
	const struct log_entry entry = {
		.protocol = protocol,
		.destination = packet->destination,
		.port = packet->destination_port,
		.domain = names_find(&gate->names, packet->destination, now_ns),
		.sent = packet->payload_size,
		.verdict = denied(reason),
	};

	connection_log_denied(&gate->log, &entry, now_ns);
}

/* ---- connections ------------------------------------------------------------------------------------------------- */

static struct verdict judge(const struct gate *gate, const struct packet *packet, const char *domain)
{
	if (packet->destination == ADDRESS_GATEWAY)
		return denied(REASON_GATEWAY);
	/* Names that are denied were never resolved: whoever has a name has one that is allowed. */
	return policy_address(gate->policy, packet->destination, domain != NULL);
}

struct flow *gate_admit(struct gate *gate, const struct packet *packet, int64_t now_ns)
{
	const char *domain = names_find(&gate->names, packet->destination, now_ns);
	struct verdict verdict = judge(gate, packet, domain);
	struct flow *flow = NULL;

	if (verdict.is_allowed && !rate_take(&gate->connections, now_ns))
		verdict = denied(REASON_RATE);
	if (verdict.is_allowed) {
		flow = flows_add(&gate->flows, packet->protocol, packet->source_port, packet->destination,
				 packet->destination_port, now_ns);
		if (!flow)
			verdict = denied(REASON_FULL);
	}
	if (!flow) {
		gate_log_denied(gate, protocol_name(packet), packet, verdict.reason, now_ns);
		return NULL;
	}
	flow->reason = verdict.reason;
	if (domain)
		strncpy(flow->domain, domain, sizeof(flow->domain) - 1);
	return flow;
}

void gate_end_flow(struct gate *gate, struct flow *flow, int64_t now_ns)
{
	const struct log_entry entry = {
		.protocol = flow->protocol == PROTOCOL_TCP ? "tcp" : "udp",
		.destination = flow->destination,
		.port = flow->destination_port,
		.domain = flow->domain,
		.sent = flow->sent,
		.received = flow->received,
		.duration_ns = now_ns - flow->began_ns,
		.verdict = allowed(flow->reason),
	};

	connection_log_write(&gate->log, &entry);
	if (flow->fd >= 0)
		gate->output.udp_close(gate->output.opaque, flow);
	flows_remove(&gate->flows, flow);
}

/* ---- TCP --------------------------------------------------------------------------------------------------------- */

static void answer_with_reset(struct gate *gate, const struct packet *packet)
{
	uint8_t reset[FRAME_SMALL_MAX];
	const size_t size = frame_make_reset(reset, packet);

	if (size)
		gate->output.to_guest(gate->output.opaque, reset, size);
}

/* passt forgets the connection, which the guest has given up or never had. */
static void reset_passt(struct gate *gate, const struct flow *flow)
{
	uint8_t reset[FRAME_SMALL_MAX];
	const size_t size = frame_make_reset_by_guest(reset, flow->port, flow->destination, flow->destination_port);

	gate->output.to_passt(gate->output.opaque, reset, size);
}

static bool is_first(const struct packet *packet)
{
	return (packet->tcp_flags & (TCP_SYN | TCP_ACK | TCP_RST | TCP_FIN)) == TCP_SYN;
}

static void tcp_from_guest(struct gate *gate, uint8_t *frame, struct packet *packet, int64_t now_ns)
{
	struct flow *flow = flows_find(&gate->flows, PROTOCOL_TCP, packet->source_port, packet->destination,
				       packet->destination_port);

	/* A guest that was restored may begin anew what we know as open. */
	if (flow && is_first(packet) && (flow->is_established || flow->has_peer_ended)) {
		reset_passt(gate, flow);
		gate_end_flow(gate, flow, now_ns);
		flow = NULL;
	}
	if (!flow && is_first(packet)) {
		flow = gate_admit(gate, packet, now_ns);
	}
	if (!flow) {
		answer_with_reset(gate, packet);
		return;
	}
	flow->last_ns = now_ns;
	flow->sent += packet->payload_size;
	flow->has_guest_ended |= !!(packet->tcp_flags & TCP_FIN);
	gate->output.to_passt(gate->output.opaque, frame, packet->size);
	if (packet->tcp_flags & TCP_RST)
		gate_end_flow(gate, flow, now_ns);
}

bool gate_from_passt(struct gate *gate, uint8_t *frame, size_t *size, int64_t now_ns)
{
	struct packet packet;
	struct flow *flow;

	if (!frame_parse(frame, *size, &packet).is_allowed || packet.ethertype != FRAME_IPV4 ||
	    packet.protocol != PROTOCOL_TCP || packet.destination != ADDRESS_GUEST)
		return false;
	flow = flows_find(&gate->flows, PROTOCOL_TCP, packet.destination_port, packet.source, packet.source_port);
	if (!flow)
		return false;
	frame_set_macs(frame, NETWORK_GATEWAY_MAC, NETWORK_GUEST_MAC);
	*size = packet.size;
	flow->last_ns = now_ns;
	flow->received += packet.payload_size;
	flow->is_established |= !(packet.tcp_flags & TCP_RST);
	flow->has_peer_ended |= !!(packet.tcp_flags & TCP_FIN);
	if (packet.tcp_flags & TCP_RST)
		gate_end_flow(gate, flow, now_ns);
	return true;
}

/* ---- all that a guest sends -------------------------------------------------------------------------------------- */

static void arp_from_guest(struct gate *gate, const uint8_t *frame, const struct packet *packet, int64_t now_ns)
{
	uint8_t reply[FRAME_SMALL_MAX];
	enum reason reason;
	const size_t size = frame_make_arp_reply(reply, frame, &reason);

	if (size)
		gate->output.to_guest(gate->output.opaque, reply, size);
	else if (reason != REASON_DEFAULT)
		gate_log_denied(gate, "ethernet", packet, reason, now_ns);
}

/* Of a frame that holds together: is it from the guest, and to one? */
static struct verdict check_addresses(const uint8_t *frame, const struct packet *packet)
{
	if (memcmp(frame + NETWORK_MAC_SIZE, NETWORK_GUEST_MAC, NETWORK_MAC_SIZE) != 0 ||
	    packet->source != ADDRESS_GUEST)
		return denied(REASON_SOURCE);
	if (frame_is_to_many(frame) || packet->destination == ADDRESS_BROADCAST || packet->destination == UINT32_MAX ||
	    packet->destination >> 28 == 0xe)
		return denied(REASON_BROADCAST);
	if (!frame_is_between(frame, NETWORK_GUEST_MAC, NETWORK_GATEWAY_MAC))
		return denied(REASON_MALFORMED);
	/* passt divides by it. */
	if (packet->protocol == PROTOCOL_TCP && packet->tcp_flags & TCP_SYN && !frame_has_sound_mss(frame, packet))
		return denied(REASON_MALFORMED);
	return allowed(REASON_DEFAULT);
}

void gate_from_guest(struct gate *gate, uint8_t *frame, size_t size, int64_t now_ns)
{
	struct packet packet;
	struct verdict verdict = frame_parse(frame, size, &packet);

	if (verdict.is_allowed && packet.ethertype == FRAME_ARP) {
		arp_from_guest(gate, frame, &packet, now_ns);
		return;
	}
	if (verdict.is_allowed)
		verdict = check_addresses(frame, &packet);
	if (!verdict.is_allowed)
		gate_log_denied(gate, protocol_name(&packet), &packet, verdict.reason, now_ns);
	else if (packet.protocol == PROTOCOL_TCP)
		tcp_from_guest(gate, frame, &packet, now_ns);
	else if (packet.destination == ADDRESS_GATEWAY && packet.destination_port == 53)
		gate_name_from_guest(gate, &packet, now_ns);
	else
		gate_udp_from_guest(gate, &packet, now_ns);
}

/* ---- time -------------------------------------------------------------------------------------------------------- */

bool gate_tick(struct gate *gate, int64_t now_ns)
{
	gate_names_tick(gate, now_ns);
	for (unsigned i = 0; gate->flows.n > 0 && i < gate->flows.n_used; i++) {
		struct flow *flow = &gate->flows.entries[i];

		if (flow->protocol == 0 || !flow_is_over(flow, now_ns))
			continue;
		/* Whether it has ended is the guest's word: its FIN may be one that passt did not take. */
		if (flow->protocol == PROTOCOL_TCP)
			reset_passt(gate, flow);
		gate_end_flow(gate, flow, now_ns);
	}
	return gate->flows.n > 0 || gate->n_questions > 0;
}

void gate_close(struct gate *gate, enum reason reason, int64_t now_ns)
{
	const struct log_entry end = { .protocol = "network", .verdict = denied(reason) };

	for (unsigned i = 0; gate->flows.n > 0 && i < gate->flows.n_used; i++)
		if (gate->flows.entries[i].protocol)
			gate_end_flow(gate, &gate->flows.entries[i], now_ns);
	if (reason != REASON_ENDED || gate->log.left_out)
		connection_log_write(&gate->log, &end);
}
