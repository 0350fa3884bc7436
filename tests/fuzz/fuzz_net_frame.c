/*
 * What a guest's driver sends, and what passt and resolvers answer, into the whole decision of hearth-netd. Nothing may leave
 * towards passt or a socket that the policy does not allow, and nothing but whole frames goes to the guest.
 */
#include "tests/fuzz/choices.h"
#include "tests/fuzz/fuzz.h"
#include "vmm/network/gate.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

static struct gate gate;
static struct policy policy;
static uint8_t query[DNS_QUERY_MAX];
static size_t query_size;

static const char text[] = "default deny\nallow 93.184.216.0/24\ndeny 93.184.216.99\nallow 10.1.0.0/16\n"
			   "allow *.example\ndeny denied.example\n";

static void check_destination(uint32_t destination)
{
	FUZZ_CHECK(destination != ADDRESS_GATEWAY);
	FUZZ_CHECK(policy_address(&policy, destination, true).is_allowed);
}

static void to_guest(void *opaque, const uint8_t *frame, size_t size)
{
	(void)opaque;
	FUZZ_CHECK(size >= NETWORK_FRAME_MIN && size <= NETWORK_FRAME_MAX);
	FUZZ_CHECK(frame_is_between(frame, NETWORK_GATEWAY_MAC, NETWORK_GUEST_MAC));
}

static void to_passt(void *opaque, const uint8_t *frame, size_t size)
{
	struct packet packet;

	(void)opaque;
	FUZZ_CHECK(frame_parse(frame, size, &packet).is_allowed);
	FUZZ_CHECK(packet.size == size && packet.protocol == PROTOCOL_TCP && packet.source == ADDRESS_GUEST);
	FUZZ_CHECK(frame_is_between(frame, NETWORK_GUEST_MAC, NETWORK_GATEWAY_MAC));
	FUZZ_CHECK(!(packet.tcp_flags & TCP_SYN) || frame_has_sound_mss(frame, &packet));
	check_destination(packet.destination);
}

static int udp_open(void *opaque, struct flow *flow)
{
	(void)opaque;
	check_destination(flow->destination);
	flow->fd = 1000;
	return flow->port == 13 ? -ENETUNREACH : 0;
}

static int udp_send(void *opaque, const struct flow *flow, const uint8_t *payload, size_t size)
{
	(void)opaque;
	(void)payload;
	FUZZ_CHECK(flow->fd == 1000 && size <= FRAME_UDP_PAYLOAD_MAX);
	return flow->port == 14 ? -ECONNREFUSED : 0;
}

static void udp_close(void *opaque, struct flow *flow)
{
	(void)opaque;
	flow->fd = -1;
}

static int ask(void *opaque, unsigned attempt, const uint8_t *message, size_t size)
{
	(void)opaque;
	memcpy(query, message, size);
	query_size = size;
	return (int)attempt;
}

static uint16_t random16(void *opaque)
{
	(void)opaque;
	return 4;
}

static void begin(void)
{
	static const struct gate_output output = {
		.to_guest = to_guest,
		.to_passt = to_passt,
		.udp_open = udp_open,
		.udp_send = udp_send,
		.udp_close = udp_close,
		.ask = ask,
		.random = random16,
	};
	static int null = -1;
	struct error err;

	if (null < 0) {
		null = open("/dev/null", O_WRONLY);
		FUZZ_CHECK(policy_parse(&policy, text, sizeof(text) - 1, &err) == 0);
	}
	memset(&gate, 0, offsetof(struct gate, frame));
	gate_open(&gate, &policy, &output, null);
}

/* Headers that would be wrong in most random frames are made right in most. */
static void mend(uint8_t *frame, size_t size, unsigned how)
{
	if (how & 1 || size < FRAME_ETHERNET_SIZE + FRAME_IP_SIZE)
		return;
	frame_set_macs(frame, NETWORK_GUEST_MAC, NETWORK_GATEWAY_MAC);
	memcpy(frame + 12, "\x08\x00\x45", 3);
	frame[16] = (uint8_t)((size - FRAME_ETHERNET_SIZE) >> 8);
	frame[17] = (uint8_t)(size - FRAME_ETHERNET_SIZE);
	memset(frame + 20, 0, 2);
	frame[23] = how & 2 ? PROTOCOL_TCP : PROTOCOL_UDP;
	memcpy(frame + 26, "\x0a\x00\x02\x0f", 4);
	if (how & 4)
		memcpy(frame + 30, how & 8 ? "\x0a\x00\x02\x02" : "\x5d\xb8\xd8", how & 8 ? 4 : 3);
	if (!(how & 2) && size >= FRAME_UDP_PAYLOAD) {
		frame[38] = (uint8_t)((size - 34) >> 8);
		frame[39] = (uint8_t)(size - 34);
		if (how & 8)
			memcpy(frame + 36, "\0\x35", 2);
	}
	memset(frame + 24, 0, 2);
	const uint16_t checksum = frame_checksum(frame + FRAME_ETHERNET_SIZE, FRAME_IP_SIZE, 0);

	frame[24] = (uint8_t)(checksum >> 8);
	frame[25] = (uint8_t)checksum;
}

static void turn_around(uint8_t *frame, size_t size)
{
	uint8_t address[4], ports[4];

	if (size < FRAME_ETHERNET_SIZE + FRAME_IP_SIZE + 4)
		return;
	memcpy(address, frame + 26, 4);
	memmove(frame + 26, frame + 30, 4);
	memcpy(frame + 30, address, 4);
	memcpy(ports, frame + 34, 4);
	memcpy(frame + 34, ports + 2, 2);
	memcpy(frame + 36, ports, 2);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct choices choices = { data, size };
	static uint8_t frame[NETWORK_FRAME_MAX + 2], message[DNS_ANSWER_MAX + 1];
	int64_t now_ns = 1;

	begin();
	while (!choices_are_over(&choices)) {
		const unsigned what = choose_below(&choices, 8), how = choose_below(&choices, 16);
		size_t length = choose_below(&choices, 4) == 0 ? choose_below(&choices, 512)
							       : choose_below(&choices, 96),
		       given;
		const uint8_t *bytes = choose_bytes(&choices, length, &given);

		memcpy(frame, bytes, given);
		now_ns += (int64_t)choose_below(&choices, 256) * 100000000;
		mend(frame, given, how);
		if (what < 4) {
			gate_from_guest(&gate, frame, given, now_ns);
		} else if (what == 4) {
			turn_around(frame, given);
			if (gate_from_passt(&gate, frame, &given, now_ns))
				to_guest(NULL, frame, given);
		} else if (what == 5 && query_size) {
			/* Header and question of the query, then whatever comes. */
			const size_t head = query_size - 11;

			memcpy(message, query, head);
			memcpy(message + head, bytes, given);
			message[2] = 0x81;
			message[7] = (uint8_t)how;
			gate_from_resolver(&gate, 0, message, head + given, now_ns);
		} else if (what == 6 && gate.flows.n_udp) {
			for (unsigned i = 0; i < gate.flows.n_used; i++)
				if (gate.flows.entries[i].protocol == PROTOCOL_UDP)
					gate_from_udp(&gate, &gate.flows.entries[i],
						      how ? (ssize_t)given : -ECONNREFUSED, now_ns);
		} else {
			gate_tick(&gate, now_ns);
		}
		FUZZ_CHECK(gate.flows.n <= FLOWS_MAX && gate.flows.n_udp <= FLOWS_UDP_MAX);
	}
	gate_close(&gate, REASON_ENDED, now_ns);
	FUZZ_CHECK(gate.flows.n == 0);
	return 0;
}
