#include "vmm/virtio/vsock_flow.h"

#include "common/bytes.h"

#include <assert.h>

enum { SHUTDOWN_BOTH = VIRTIO_VSOCK_SHUTDOWN_RCV | VIRTIO_VSOCK_SHUTDOWN_SEND };

void vsock_header_get(struct vsock_header *header, const uint8_t data[VSOCK_HEADER_SIZE])
{
	struct bytes in = bytes_from(data, VSOCK_HEADER_SIZE);

	header->source_cid = bytes_get_u64(&in);
	header->destination_cid = bytes_get_u64(&in);
	header->source_port = bytes_get_u32(&in);
	header->destination_port = bytes_get_u32(&in);
	header->length = bytes_get_u32(&in);
	header->type = bytes_get_u16(&in);
	header->op = bytes_get_u16(&in);
	header->flags = bytes_get_u32(&in);
	header->buf_alloc = bytes_get_u32(&in);
	header->fwd_cnt = bytes_get_u32(&in);
}

void vsock_header_put(const struct vsock_header *header, uint8_t data[VSOCK_HEADER_SIZE])
{
	struct bytes out = bytes_over(data, VSOCK_HEADER_SIZE);

	bytes_put_u64(&out, header->source_cid);
	bytes_put_u64(&out, header->destination_cid);
	bytes_put_u32(&out, header->source_port);
	bytes_put_u32(&out, header->destination_port);
	bytes_put_u32(&out, header->length);
	bytes_put_u16(&out, header->type);
	bytes_put_u16(&out, header->op);
	bytes_put_u32(&out, header->flags);
	bytes_put_u32(&out, header->buf_alloc);
	bytes_put_u32(&out, header->fwd_cnt);
}

struct vsock_header vsock_header_reset(const struct vsock_header *to)
{
	return (struct vsock_header) {
		.source_cid = VSOCK_HOST_CID,
		.destination_cid = VSOCK_GUEST_CID,
		.source_port = to->destination_port,
		.destination_port = to->source_port,
		.type = to->type, /* Linux looks the socket up by it */
		.op = VIRTIO_VSOCK_OP_RST,
	};
}

static void learn_credit(struct vsock_flow *flow, const struct vsock_header *header)
{
	flow->guest_window = header->buf_alloc;
	flow->guest_forwarded = header->fwd_cnt;
	flow->credit_was_requested = false;
}

void vsock_flow_accept(struct vsock_flow *flow, const struct vsock_header *request)
{
	*flow = (struct vsock_flow) {
		.state = VSOCK_ESTABLISHED,
		.host_port = request->destination_port,
		.guest_port = request->source_port,
		.due = VSOCK_DUE_RESPONSE,
	};
	learn_credit(flow, request);
}

void vsock_flow_request(struct vsock_flow *flow, uint32_t host_port, uint32_t guest_port)
{
	*flow = (struct vsock_flow) {
		.state = VSOCK_REQUESTED,
		.host_port = host_port,
		.guest_port = guest_port,
		.due = VSOCK_DUE_REQUEST,
	};
}

void vsock_flow_reset(struct vsock_flow *flow)
{
	flow->state = VSOCK_RESETTING;
	flow->due = VSOCK_DUE_RESET;
}

static unsigned protocol_error(struct vsock_flow *flow)
{
	vsock_flow_reset(flow);
	return VSOCK_ACTION_CLOSE;
}

/* The guest is gone. What it sent before still counts, if it had said that this was all. */
static unsigned receive_reset(struct vsock_flow *flow)
{
	const bool has_last_bytes = (flow->guest_shutdown & VIRTIO_VSOCK_SHUTDOWN_SEND) && vsock_flow_backlog(flow) > 0;

	flow->due = 0;
	flow->state = has_last_bytes ? VSOCK_LINGERING : VSOCK_CLOSED;
	return has_last_bytes ? 0 : VSOCK_ACTION_CLOSE;
}

static unsigned receive_data(struct vsock_flow *flow, const struct vsock_header *header)
{
	if (flow->guest_shutdown & VIRTIO_VSOCK_SHUTDOWN_SEND)
		return protocol_error(flow);
	if (header->length > VSOCK_WINDOW - vsock_flow_backlog(flow))
		return protocol_error(flow); /* more than we have advertised */
	flow->received += header->length;
	return header->length ? VSOCK_ACTION_DELIVER : 0;
}

static unsigned receive_established(struct vsock_flow *flow, const struct vsock_header *header)
{
	uint8_t grown;

	switch (header->op) {
	case VIRTIO_VSOCK_OP_RW:
		return receive_data(flow, header);
	case VIRTIO_VSOCK_OP_SHUTDOWN:
		grown = (uint8_t)(header->flags & SHUTDOWN_BOTH & ~(uint32_t)flow->guest_shutdown);
		flow->guest_shutdown |= grown;
		return grown ? VSOCK_ACTION_GUEST_DONE : 0;
	case VIRTIO_VSOCK_OP_CREDIT_UPDATE:
		return 0; /* the credit in the header was learnt already */
	case VIRTIO_VSOCK_OP_CREDIT_REQUEST:
		flow->due |= VSOCK_DUE_CREDIT_UPDATE;
		return 0;
	default: /* REQUEST and RESPONSE have had their time; the rest does not exist */
		return protocol_error(flow);
	}
}

unsigned vsock_flow_receive(struct vsock_flow *flow, const struct vsock_header *header)
{
	if (header->op == VIRTIO_VSOCK_OP_RST)
		return receive_reset(flow);
	switch (flow->state) {
	case VSOCK_REQUESTED:
		if (header->op != VIRTIO_VSOCK_OP_RESPONSE || (flow->due & VSOCK_DUE_REQUEST))
			return protocol_error(flow);
		learn_credit(flow, header);
		flow->state = VSOCK_ESTABLISHED;
		return VSOCK_ACTION_CONNECTED;
	case VSOCK_ESTABLISHED:
		learn_credit(flow, header);
		return receive_established(flow, header);
	default:
		return 0; /* the RST that is due says all */
	}
}

uint32_t vsock_flow_backlog(const struct vsock_flow *flow)
{
	return flow->received - flow->forwarded;
}

void vsock_flow_forward(struct vsock_flow *flow, uint32_t count)
{
	assert(count <= vsock_flow_backlog(flow));
	flow->forwarded += count;
	if (flow->state == VSOCK_ESTABLISHED && flow->forwarded - flow->forwarded_told >= VSOCK_WINDOW_UPDATE)
		flow->due |= VSOCK_DUE_CREDIT_UPDATE;
}

uint32_t vsock_flow_room(const struct vsock_flow *flow)
{
	const uint32_t in_flight = flow->sent - flow->guest_forwarded;

	if (flow->state != VSOCK_ESTABLISHED || (flow->guest_shutdown & VIRTIO_VSOCK_SHUTDOWN_RCV) ||
	    (flow->host_shutdown & VIRTIO_VSOCK_SHUTDOWN_SEND))
		return 0;
	/* A guest that claims to have forwarded more than it got, or shrinks its window, gets nothing. */
	return in_flight > flow->guest_window ? 0 : flow->guest_window - in_flight;
}

void vsock_flow_starved(struct vsock_flow *flow)
{
	if (flow->state == VSOCK_ESTABLISHED && !flow->credit_was_requested &&
	    !(flow->guest_shutdown & VIRTIO_VSOCK_SHUTDOWN_RCV)) {
		flow->credit_was_requested = true;
		flow->due |= VSOCK_DUE_CREDIT_REQUEST;
	}
}

void vsock_flow_host_done(struct vsock_flow *flow, uint8_t shutdown)
{
	const uint8_t before = flow->host_shutdown;

	flow->host_shutdown |= shutdown & SHUTDOWN_BOTH;
	if (flow->state == VSOCK_ESTABLISHED && flow->host_shutdown != before)
		flow->due |= VSOCK_DUE_SHUTDOWN;
}

bool vsock_flow_finish(struct vsock_flow *flow)
{
	if (flow->state == VSOCK_ESTABLISHED && flow->guest_shutdown == SHUTDOWN_BOTH && vsock_flow_backlog(flow) == 0)
		vsock_flow_reset(flow);
	return flow->state == VSOCK_RESETTING;
}

static struct vsock_header header_of(struct vsock_flow *flow, uint16_t op)
{
	flow->forwarded_told = flow->forwarded;
	flow->due &= (uint8_t)~VSOCK_DUE_CREDIT_UPDATE; /* every packet carries it */
	return (struct vsock_header) {
		.source_cid = VSOCK_HOST_CID,
		.destination_cid = VSOCK_GUEST_CID,
		.source_port = flow->host_port,
		.destination_port = flow->guest_port,
		.type = VIRTIO_VSOCK_TYPE_STREAM,
		.op = op,
		.buf_alloc = VSOCK_WINDOW,
		.fwd_cnt = flow->forwarded,
	};
}

bool vsock_flow_next(struct vsock_flow *flow, struct vsock_header *header)
{
	static const struct {
		uint8_t due;
		uint16_t op;
	} order[] = {
		{ VSOCK_DUE_RESET, VIRTIO_VSOCK_OP_RST },
		{ VSOCK_DUE_RESPONSE, VIRTIO_VSOCK_OP_RESPONSE },
		{ VSOCK_DUE_REQUEST, VIRTIO_VSOCK_OP_REQUEST },
		{ VSOCK_DUE_SHUTDOWN, VIRTIO_VSOCK_OP_SHUTDOWN },
		{ VSOCK_DUE_CREDIT_REQUEST, VIRTIO_VSOCK_OP_CREDIT_REQUEST },
		{ VSOCK_DUE_CREDIT_UPDATE, VIRTIO_VSOCK_OP_CREDIT_UPDATE },
	};

	for (unsigned i = 0; i < sizeof(order) / sizeof(order[0]); i++) {
		if (!(flow->due & order[i].due))
			continue;
		flow->due &= (uint8_t)~order[i].due;
		*header = header_of(flow, order[i].op);
		if (order[i].op == VIRTIO_VSOCK_OP_SHUTDOWN)
			header->flags = flow->host_shutdown;
		if (order[i].op == VIRTIO_VSOCK_OP_RST)
			flow->state = VSOCK_CLOSED;
		return true;
	}
	return false;
}

void vsock_flow_send(struct vsock_flow *flow, uint32_t length, struct vsock_header *header)
{
	assert(length <= vsock_flow_room(flow));
	flow->sent += length;
	*header = header_of(flow, VIRTIO_VSOCK_OP_RW);
	header->length = length;
}
