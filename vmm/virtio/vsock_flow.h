/*
 * One vsock stream connection as the device sees it: its state, its credit in both directions, and which packet is due
 * next to the guest (virtio 1.2, 5.10.6). Pure logic: no descriptors, no rings, no clock. docs/vmm.md tells the story.
 *
 * Words: the *guest* is our peer on the ring; the *host* end is a Unix socket that somebody else feeds and drains.
 */
#ifndef HEARTH_VMM_VIRTIO_VSOCK_FLOW_H
#define HEARTH_VMM_VIRTIO_VSOCK_FLOW_H

#include <linux/virtio_vsock.h>
#include <stdbool.h>
#include <stdint.h>

enum {
	VSOCK_HEADER_SIZE = 44,
	VSOCK_HOST_CID = 2,
	VSOCK_GUEST_CID = 3,
	VSOCK_PAYLOAD_MAX = 64 << 10,           /* bytes of one packet, in either direction */
	VSOCK_WINDOW = 128 << 10,               /* bytes of a connection that we hold for a slow host end */
	VSOCK_WINDOW_UPDATE = VSOCK_WINDOW / 4, /* tell the guest after so many were forwarded */
};

/* A packet's header in host byte order, copied out of guest memory once. */
struct vsock_header {
	uint64_t source_cid, destination_cid;
	uint32_t source_port, destination_port;
	uint32_t length; /* of the payload */
	uint16_t type, op;
	uint32_t flags;
	uint32_t buf_alloc, fwd_cnt;
};

void vsock_header_get(struct vsock_header *header, const uint8_t bytes[VSOCK_HEADER_SIZE]);
void vsock_header_put(const struct vsock_header *header, uint8_t bytes[VSOCK_HEADER_SIZE]);

/* The RST that answers a packet that belongs to no connection. */
struct vsock_header vsock_header_reset(const struct vsock_header *to);

enum vsock_state {
	VSOCK_CLOSED,    /* no connection */
	VSOCK_REQUESTED, /* the host end asked for it; the guest has not answered */
	VSOCK_ESTABLISHED,
	VSOCK_RESETTING, /* an RST to the guest is due, nothing else happens any more */
	VSOCK_LINGERING, /* over for the guest; its last bytes are still on their way to the host end */
};

/* Packets that are due, a set. They go out in this order. */
enum vsock_due {
	VSOCK_DUE_RESET = 1 << 0,
	VSOCK_DUE_RESPONSE = 1 << 1,
	VSOCK_DUE_REQUEST = 1 << 2,
	VSOCK_DUE_SHUTDOWN = 1 << 3, /* after all data of the host end */
	VSOCK_DUE_CREDIT_REQUEST = 1 << 4,
	VSOCK_DUE_CREDIT_UPDATE = 1 << 5,
};

struct vsock_flow {
	enum vsock_state state;
	uint32_t host_port, guest_port;

	/* To the guest; all counts are of bytes and wrap. */
	uint32_t guest_window;    /* its buf_alloc */
	uint32_t guest_forwarded; /* its fwd_cnt */
	uint32_t sent;
	bool credit_was_requested; /* no second CREDIT_REQUEST before the guest spoke */

	/* From the guest. received - forwarded bytes wait for the host end, at most VSOCK_WINDOW. */
	uint32_t received;
	uint32_t forwarded;
	uint32_t forwarded_told; /* what the guest knows of it */

	uint8_t guest_shutdown; /* VIRTIO_VSOCK_SHUTDOWN_*: what the guest said it will not do; never taken back */
	uint8_t host_shutdown;  /* likewise the host end */
	uint8_t due;            /* enum vsock_due */
};

/* What the device must do after a packet; a set. */
enum vsock_action {
	VSOCK_ACTION_CONNECTED = 1 << 0,  /* tell the host end that the guest accepted */
	VSOCK_ACTION_DELIVER = 1 << 1,    /* hand the payload to the host end, in order */
	VSOCK_ACTION_GUEST_DONE = 1 << 2, /* the guest's shutdown bits grew */
	VSOCK_ACTION_CLOSE = 1 << 3,      /* give up the host end; the guest knows or is told by the RST that is due */
};

/* A connection that the guest asked for by `request`, whose host end is there. */
void vsock_flow_accept(struct vsock_flow *flow, const struct vsock_header *request);

/* A connection that the host end asks for. */
void vsock_flow_request(struct vsock_flow *flow, uint32_t host_port, uint32_t guest_port);

/*
 * A packet of this connection came from the guest, its length already checked against its chain. Returns enum
 * vsock_action. A packet that breaks the protocol resets the connection.
 */
unsigned vsock_flow_receive(struct vsock_flow *flow, const struct vsock_header *header);

/* `count` bytes from the guest were taken by the host end. */
void vsock_flow_forward(struct vsock_flow *flow, uint32_t count);

/* Bytes from the guest that wait for the host end. */
uint32_t vsock_flow_backlog(const struct vsock_flow *flow);

/* Bytes of payload that may be sent to the guest now. */
uint32_t vsock_flow_room(const struct vsock_flow *flow);

/* Data waits for the guest but there is no room: asks for credit, once. */
void vsock_flow_starved(struct vsock_flow *flow);

/* The host end will not send (VIRTIO_VSOCK_SHUTDOWN_SEND), not receive (_RCV), or both. Idempotent. */
void vsock_flow_host_done(struct vsock_flow *flow, uint8_t shutdown);

/* True when the guest has closed both ways and all it sent was forwarded: the RST that ends the connection is then due. */
bool vsock_flow_finish(struct vsock_flow *flow);

/* Ends it by an RST to the guest. */
void vsock_flow_reset(struct vsock_flow *flow);

/*
 * Fills the header of the control packet that is due first, and takes it from the set; false if none is due. After an
 * RST the state is VSOCK_CLOSED.
 */
bool vsock_flow_next(struct vsock_flow *flow, struct vsock_header *header);

/* Fills the header of a packet with `length` (at most vsock_flow_room()) bytes for the guest, and counts them. */
void vsock_flow_send(struct vsock_flow *flow, uint32_t length, struct vsock_header *header);

#endif
