/* UDP: a socket for each conversation. */
#include "vmm/network/gate.h"

#include <errno.h>
#include <sys/types.h>

static void tell_unreachable(struct gate *gate, uint8_t code, uint16_t port, uint32_t destination,
			     uint16_t destination_port)
{
	uint8_t message[FRAME_SMALL_MAX];
	const size_t size = frame_make_unreachable(message, code, port, destination, destination_port);

	gate->output.to_guest(gate->output.opaque, message, size);
}

static void tell_error(struct gate *gate, const struct flow *flow, int problem)
{
	tell_unreachable(gate, problem == ECONNREFUSED ? UNREACHABLE_PORT : UNREACHABLE_HOST, flow->port,
			 flow->destination, flow->destination_port);
}

/* What the network says of a conversation, and not of one packet. */
static bool is_of_network(int problem)
{
	return problem == ECONNREFUSED || problem == EHOSTUNREACH || problem == ENETUNREACH;
}

static struct flow *begin(struct gate *gate, const struct packet *packet, int64_t now_ns)
{
	struct flow *flow = gate_admit(gate, packet, now_ns);
	int status;

	if (!flow) {
		tell_unreachable(gate, UNREACHABLE_PROHIBITED, packet->source_port, packet->destination,
				 packet->destination_port);
		return NULL;
	}
	status = gate->output.udp_open(gate->output.opaque, flow);
	if (status == 0)
		return flow;
	gate_log_denied(gate, "udp", packet, REASON_UNREACHABLE, now_ns);
	tell_error(gate, flow, -status);
	flows_remove(&gate->flows, flow);
	return NULL;
}

void gate_udp_from_guest(struct gate *gate, const struct packet *packet, int64_t now_ns)
{
	struct flow *flow = flows_find(&gate->flows, PROTOCOL_UDP, packet->source_port, packet->destination,
				       packet->destination_port);
	int status;

	if (!flow)
		flow = begin(gate, packet, now_ns);
	if (!flow)
		return;
	flow->last_ns = now_ns;
	status = gate->output.udp_send(gate->output.opaque, flow, packet->payload, packet->payload_size);
	if (status == 0)
		flow->sent += packet->payload_size;
	else if (is_of_network(-status))
		tell_error(gate, flow, -status);
}

uint8_t *gate_datagram_buffer(struct gate *gate)
{
	return gate->frame + FRAME_UDP_PAYLOAD;
}

void gate_from_udp(struct gate *gate, struct flow *flow, ssize_t size, int64_t now_ns)
{
	size_t frame_size;

	if (size < 0) {
		if (is_of_network((int)-size))
			tell_error(gate, flow, (int)-size);
		return;
	}
	if (size > FRAME_UDP_PAYLOAD_MAX)
		return;
	flow->last_ns = now_ns;
	flow->received += (uint64_t)size;
	frame_size = frame_make_udp(gate->frame, (size_t)size, flow->destination, flow->destination_port, flow->port);
	gate->output.to_guest(gate->output.opaque, gate->frame, frame_size);
}
