/*
 * Ethernet frames with IPv4 in them: taken apart with every length checked, and made. Numbers in structs are in the host's
 * byte order. All of it works on memory alone.
 */
#ifndef HEARTH_NETWORK_FRAME_H
#define HEARTH_NETWORK_FRAME_H

#include "common/network_protocol.h"
#include "vmm/network/verdict.h"

#include <stddef.h>
#include <stdint.h>

enum {
	FRAME_ETHERNET_SIZE = 14,
	FRAME_IP_SIZE = 20, /* options are refused */
	FRAME_TCP_SIZE = 20,
	FRAME_UDP_SIZE = 8,
	FRAME_SMALL_MAX = 128, /* of an answer that has no payload */
	FRAME_UDP_PAYLOAD_MAX = NETWORK_MTU - FRAME_IP_SIZE - FRAME_UDP_SIZE,

	FRAME_IPV4 = 0x0800,
	FRAME_ARP = 0x0806,
	FRAME_IPV6 = 0x86dd,

	PROTOCOL_ICMP = 1,
	PROTOCOL_TCP = 6,
	PROTOCOL_UDP = 17,

	TCP_FIN = 0x01,
	TCP_SYN = 0x02,
	TCP_RST = 0x04,
	TCP_ACK = 0x10,

	UNREACHABLE_HOST = 1, /* codes of ICMP */
	UNREACHABLE_PORT = 3,
	UNREACHABLE_PROHIBITED = 13,
};

#define ADDRESS(a, b, c, d) ((uint32_t)(a) << 24 | (uint32_t)(b) << 16 | (uint32_t)(c) << 8 | (uint32_t)(d))
#define ADDRESS_GUEST       ADDRESS(10, 0, 2, 15) /* NETWORK_GUEST_ADDRESS */
#define ADDRESS_GATEWAY     ADDRESS(10, 0, 2, 2)
#define ADDRESS_NETWORK     ADDRESS(10, 0, 2, 0)
#define ADDRESS_BROADCAST   ADDRESS(10, 0, 2, 255)

struct packet {
	uint16_t ethertype;
	uint32_t source, destination;
	uint8_t protocol; /* of IPv4 */
	uint16_t source_port, destination_port;
	uint32_t sequence, acknowledgement;
	uint8_t tcp_flags;
	size_t size;            /* of the frame without what only fills it up */
	const uint8_t *payload; /* of UDP and TCP, within the frame */
	size_t payload_size;
};

/*
 * Takes a frame apart. `is_allowed` means that it is an ARP request, or a whole TCP or UDP packet over IPv4 whose lengths
 * agree; nobody has looked at the addresses yet. Else the reason, and *packet holds what was found until there.
 */
struct verdict frame_parse(const uint8_t *frame, size_t size, struct packet *packet);

/*
 * Whether the options of a TCP segment hold together, and its maximum segment size (RFC 9293, 3.7.1), if it names one, is
 * one that fits into our frames. For what was taken apart.
 */
bool frame_has_sound_mss(const uint8_t *frame, const struct packet *packet);

/* Are source and destination of the frame what `from` and `to` (6 bytes) say? */
bool frame_is_between(const uint8_t *frame, const char *from, const char *to);
bool frame_is_to_many(const uint8_t *frame);

/* The answers return the size of the frame that they made. */

/*
 * The answer to an ARP request of the guest for any address of its network but its own. 0 if the request is of another
 * kind or, with *reason set, if its sender is not the guest.
 */
size_t frame_make_arp_reply(uint8_t out[FRAME_SMALL_MAX], const uint8_t *frame, enum reason *reason);

/* Ends the guest's connection, as the other side would. 0 if the packet is itself a RST. */
size_t frame_make_reset(uint8_t out[FRAME_SMALL_MAX], const struct packet *packet);

/* Ends passt's half of a connection, as the guest would. */
size_t frame_make_reset_by_guest(uint8_t out[FRAME_SMALL_MAX], uint16_t port, uint32_t destination,
				 uint16_t destination_port);

/* Tells the guest that a UDP packet did not arrive; `code` is one of UNREACHABLE_*. */
size_t frame_make_unreachable(uint8_t out[FRAME_SMALL_MAX], uint8_t code, uint16_t port, uint32_t destination,
			      uint16_t destination_port);

/*
 * A UDP packet for the guest, around the payload that lies at out + FRAME_UDP_PAYLOAD. `out` has room for
 * NETWORK_FRAME_MAX bytes.
 */
#define FRAME_UDP_PAYLOAD (FRAME_ETHERNET_SIZE + FRAME_IP_SIZE + FRAME_UDP_SIZE)
size_t frame_make_udp(uint8_t *out, size_t payload_size, uint32_t source, uint16_t source_port, uint16_t port);

/* Sets both hardware addresses. */
void frame_set_macs(uint8_t *frame, const char *from, const char *to);

/* The Internet checksum of `data`, on top of `sum`. */
uint16_t frame_checksum(const uint8_t *data, size_t size, uint32_t sum);

#endif
