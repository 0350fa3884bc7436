/*
 * The decision about everything that passes between a guest and the network. Memory alone: frames and messages go in, and come
 * out through struct gate_output, so that tests can be on its other side.
 *
 * TCP goes on to passt, packet by packet, for connections that are allowed. UDP does not: each conversation gets a socket of
 * its own, connected to the one address, so that nobody else's packets come in and no two guests share a port. Names are
 * asked for by the gate itself. Everything else ends here.
 */
#ifndef HEARTH_NETWORK_GATE_H
#define HEARTH_NETWORK_GATE_H

#include "vmm/network/connection_log.h"
#include "vmm/network/dns.h"
#include "vmm/network/flow.h"
#include "vmm/network/names.h"
#include "vmm/network/policy.h"
#include "vmm/network/rate.h"

#include <sys/types.h>

enum {
	GATE_CONNECTIONS_PER_SECOND = 20, /* new ones, of TCP and UDP; each is a line in the log */
	GATE_CONNECTIONS_AT_ONCE = 512,
	GATE_NAMES_PER_SECOND = 10, /* that are asked of a resolver */
	GATE_NAMES_AT_ONCE = 200,
	GATE_QUESTIONS_MAX = 64, /* that wait for their answers */
	GATE_QUESTION_SECONDS = 2,
	GATE_QUESTION_ATTEMPTS = 3,
	GATE_TICK_MS = 1000,
};

/* The frames' memory is the gate's or its caller's, and theirs again on return. */
struct gate_output {
	void *opaque;
	void (*to_guest)(void *opaque, const uint8_t *frame, size_t size);
	void (*to_passt)(void *opaque, const uint8_t *frame, size_t size);
	int (*udp_open)(void *opaque, struct flow *flow); /* sets flow->fd; 0 or -errno */
	int (*udp_send)(void *opaque, const struct flow *flow, const uint8_t *payload, size_t size); /* 0 or -errno */
	void (*udp_close)(void *opaque, struct flow *flow);
	/* Sends a question to a resolver, another one in each attempt; the number of the socket, or -errno. */
	int (*ask)(void *opaque, unsigned attempt, const uint8_t *query, size_t size);
	uint16_t (*random)(void *opaque);
};

struct gate_question {
	bool is_used;
	uint16_t id; /* as the resolver knows it */
	int socket;
	unsigned attempts;
	uint16_t port; /* the guest's */
	int64_t began_ns, asked_ns;
	enum reason reason; /* why it is allowed */
	struct dns_question question;
};

struct gate {
	const struct policy *policy;
	struct gate_output output;
	struct connection_log log;
	struct rate connections, questions_rate;
	unsigned n_questions;
	struct gate_question questions[GATE_QUESTIONS_MAX];
	struct flows flows;
	struct names names;
	uint8_t frame[NETWORK_FRAME_MAX]; /* in which UDP is put together */
};

void gate_open(struct gate *gate, const struct policy *policy, const struct gate_output *output, int log_fd);

/* Something from the guest, of any size. The frame may be changed. */
void gate_from_guest(struct gate *gate, uint8_t *frame, size_t size, int64_t now_ns);

/* A frame of passt's. True if the guest is to have it: *size bytes of it, which have been made right. */
bool gate_from_passt(struct gate *gate, uint8_t *frame, size_t *size, int64_t now_ns);

/* Where to put what came on a UDP socket: FRAME_UDP_PAYLOAD_MAX bytes. */
uint8_t *gate_datagram_buffer(struct gate *gate);

/* So many bytes lie there, or negative errno: an error that the socket has told. */
void gate_from_udp(struct gate *gate, struct flow *flow, ssize_t size, int64_t now_ns);

/* The answer of a resolver, in memory that may be changed. */
void gate_from_resolver(struct gate *gate, int socket, uint8_t *message, size_t size, int64_t now_ns);

/* To be called after GATE_TICK_MS while it returns true: something may time out. */
bool gate_tick(struct gate *gate, int64_t now_ns);

/* Logs what is open, and then why all of it ended. */
void gate_close(struct gate *gate, enum reason reason, int64_t now_ns);

/* ---- between the gate's own files ---- */

void gate_log_denied(struct gate *gate, const char *protocol, const struct packet *packet, enum reason reason,
		     int64_t now_ns);
void gate_end_flow(struct gate *gate, struct flow *flow, int64_t now_ns);
void gate_udp_from_guest(struct gate *gate, const struct packet *packet, int64_t now_ns);
/* May there be a connection to the packet's destination? If so a flow is made for it, else the reason is logged. */
struct flow *gate_admit(struct gate *gate, const struct packet *packet, int64_t now_ns);
void gate_name_from_guest(struct gate *gate, const struct packet *packet, int64_t now_ns);
void gate_names_tick(struct gate *gate, int64_t now_ns);

#endif
