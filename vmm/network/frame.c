#include "vmm/network/frame.h"

#include "vmm/network/byte_order.h"

#include <string.h>

enum {
	ARP_SIZE = 28,
	ARP_REQUEST = 1,
	ARP_REPLY = 2,
	IP_DONT_FRAGMENT = 0x4000,
	ICMP_UNREACHABLE = 3,
	ICMP_HEADER_SIZE = 8,
	ICMP_QUOTED_SIZE = FRAME_IP_SIZE + 8, /* what it says of the packet that did not arrive */
	TIME_TO_LIVE = 64,
	OPTION_END = 0, /* of TCP */
	OPTION_NOTHING = 1,
	OPTION_MSS = 2,
	MSS_MIN = 88, /* Linux takes no smaller one either */
	MSS_MAX = NETWORK_MTU - FRAME_IP_SIZE - FRAME_TCP_SIZE,
};

static uint32_t sum_of(const uint8_t *data, size_t size, uint32_t sum)
{
	uint64_t wide = sum;

	for (; size > 1; data += 2, size -= 2)
		wide += get16(data);
	if (size)
		wide += (uint32_t)*data << 8;
	while (wide >> 16)
		wide = (wide & 0xffff) + (wide >> 16);
	return (uint32_t)wide;
}

uint16_t frame_checksum(const uint8_t *data, size_t size, uint32_t sum)
{
	return (uint16_t)~sum_of(data, size, sum);
}

/* ---- taking apart ------------------------------------------------------------------------------------------------ */

static struct verdict parse_tcp(const uint8_t *segment, size_t size, struct packet *packet)
{
	size_t header;

	if (size < FRAME_TCP_SIZE)
		return denied(REASON_MALFORMED);
	packet->source_port = get16(segment);
	packet->destination_port = get16(segment + 2);
	packet->sequence = get32(segment + 4);
	packet->acknowledgement = get32(segment + 8);
	packet->tcp_flags = segment[13];
	header = (size_t)(segment[12] >> 4) * 4;
	if (header < FRAME_TCP_SIZE || header > size)
		return denied(REASON_MALFORMED);
	/* What opens a connection with these for one, and ends it for another, would pass for part of an old one. */
	if (packet->tcp_flags & TCP_SYN && packet->tcp_flags & (TCP_FIN | TCP_RST))
		return denied(REASON_MALFORMED);
	packet->payload = segment + header;
	packet->payload_size = size - header;
	return allowed(REASON_DEFAULT);
}

static struct verdict parse_udp(const uint8_t *datagram, size_t size, struct packet *packet)
{
	if (size < FRAME_UDP_SIZE)
		return denied(REASON_MALFORMED);
	packet->source_port = get16(datagram);
	packet->destination_port = get16(datagram + 2);
	if (get16(datagram + 4) != size)
		return denied(REASON_MALFORMED);
	packet->payload = datagram + FRAME_UDP_SIZE;
	packet->payload_size = size - FRAME_UDP_SIZE;
	return allowed(REASON_DEFAULT);
}

static struct verdict parse_ip(const uint8_t *ip, size_t size, struct packet *packet)
{
	size_t total;
	uint16_t fragment;

	if (size < FRAME_IP_SIZE || ip[0] >> 4 != 4)
		return denied(REASON_MALFORMED);
	packet->protocol = ip[9];
	packet->source = get32(ip + 12);
	packet->destination = get32(ip + 16);
	if ((ip[0] & 0xf) > 5)
		return denied(REASON_OPTIONS);
	total = get16(ip + 2);
	if ((ip[0] & 0xf) < 5 || total < FRAME_IP_SIZE || total > size || frame_checksum(ip, FRAME_IP_SIZE, 0) != 0)
		return denied(REASON_MALFORMED);
	packet->size = FRAME_ETHERNET_SIZE + total;
	fragment = get16(ip + 6);
	if (fragment & 0x8000)
		return denied(REASON_MALFORMED);
	if (fragment & ~IP_DONT_FRAGMENT)
		return denied(REASON_FRAGMENT);
	if (packet->protocol == PROTOCOL_TCP)
		return parse_tcp(ip + FRAME_IP_SIZE, total - FRAME_IP_SIZE, packet);
	if (packet->protocol == PROTOCOL_UDP)
		return parse_udp(ip + FRAME_IP_SIZE, total - FRAME_IP_SIZE, packet);
	return denied(REASON_PROTOCOL);
}

struct verdict frame_parse(const uint8_t *frame, size_t size, struct packet *packet)
{
	*packet = (struct packet) { .size = size };
	if (size < FRAME_ETHERNET_SIZE || size > NETWORK_FRAME_MAX)
		return denied(REASON_MALFORMED);
	packet->ethertype = get16(frame + 12);
	if (packet->ethertype == FRAME_ARP)
		return size >= FRAME_ETHERNET_SIZE + ARP_SIZE ? allowed(REASON_DEFAULT) : denied(REASON_MALFORMED);
	if (packet->ethertype == FRAME_IPV4)
		return parse_ip(frame + FRAME_ETHERNET_SIZE, size - FRAME_ETHERNET_SIZE, packet);
	return denied(REASON_PROTOCOL);
}

bool frame_has_sound_mss(const uint8_t *frame, const struct packet *packet)
{
	const uint8_t *option = frame + FRAME_ETHERNET_SIZE + FRAME_IP_SIZE + FRAME_TCP_SIZE;

	while (option < packet->payload && *option != OPTION_END) {
		const size_t left = (size_t)(packet->payload - option);
		const size_t size = *option == OPTION_NOTHING ? 1 : left < 2 ? 0 : option[1];

		if (size > left || (size < 2 && *option != OPTION_NOTHING))
			return false;
		if (*option == OPTION_MSS && (size != 4 || get16(option + 2) < MSS_MIN || get16(option + 2) > MSS_MAX))
			return false;
		option += size;
	}
	return true;
}

bool frame_is_between(const uint8_t *frame, const char *from, const char *to)
{
	return memcmp(frame, to, NETWORK_MAC_SIZE) == 0 &&
	       memcmp(frame + NETWORK_MAC_SIZE, from, NETWORK_MAC_SIZE) == 0;
}

bool frame_is_to_many(const uint8_t *frame)
{
	return frame[0] & 1;
}

/* ---- making ------------------------------------------------------------------------------------------------------ */

void frame_set_macs(uint8_t *frame, const char *from, const char *to)
{
	memcpy(frame, to, NETWORK_MAC_SIZE);
	memcpy(frame + NETWORK_MAC_SIZE, from, NETWORK_MAC_SIZE);
}

static void put_ethernet(uint8_t *out, uint16_t ethertype, bool is_to_guest)
{
	frame_set_macs(out, is_to_guest ? NETWORK_GATEWAY_MAC : NETWORK_GUEST_MAC,
		       is_to_guest ? NETWORK_GUEST_MAC : NETWORK_GATEWAY_MAC);
	put16(out + 12, ethertype);
}

static void put_ip_header(uint8_t *ip, uint8_t protocol, uint32_t source, uint32_t destination, size_t payload_size)
{
	memset(ip, 0, FRAME_IP_SIZE);
	ip[0] = 0x45;
	put16(ip + 2, (uint16_t)(FRAME_IP_SIZE + payload_size));
	put16(ip + 6, IP_DONT_FRAGMENT);
	ip[8] = TIME_TO_LIVE;
	ip[9] = protocol;
	put32(ip + 12, source);
	put32(ip + 16, destination);
	put16(ip + 10, frame_checksum(ip, FRAME_IP_SIZE, 0));
}

/* With the addresses, as TCP and UDP have it. The checksum's place must be zero. */
static uint16_t checksum_over(const uint8_t *ip, size_t payload_size)
{
	uint32_t sum = sum_of(ip + 12, 8, ip[9] + (uint32_t)payload_size);

	return frame_checksum(ip + FRAME_IP_SIZE, payload_size, sum);
}

size_t frame_make_arp_reply(uint8_t out[FRAME_SMALL_MAX], const uint8_t *frame, enum reason *reason)
{
	static const uint8_t for_ipv4_over_ethernet[] = { 0, 1, 8, 0, 6, 4, 0, ARP_REQUEST };
	const uint8_t *request = frame + FRAME_ETHERNET_SIZE;
	uint8_t *reply = out + FRAME_ETHERNET_SIZE;
	uint32_t sender, target;

	*reason = REASON_MALFORMED;
	if (memcmp(request, for_ipv4_over_ethernet, sizeof(for_ipv4_over_ethernet)) != 0)
		return 0;
	sender = get32(request + 14);
	target = get32(request + 24);
	*reason = REASON_SOURCE;
	if (memcmp(request + 8, NETWORK_GUEST_MAC, NETWORK_MAC_SIZE) != 0 ||
	    memcmp(frame + NETWORK_MAC_SIZE, NETWORK_GUEST_MAC, NETWORK_MAC_SIZE) != 0 ||
	    (sender != ADDRESS_GUEST && sender != 0))
		return 0;
	*reason = REASON_DEFAULT;
	/* Who asks for its own address wants to hear nothing. */
	if (target == ADDRESS_GUEST || (target & ~0xffu) != ADDRESS_NETWORK)
		return 0;
	put_ethernet(out, FRAME_ARP, true);
	memcpy(reply, request, ARP_SIZE);
	put16(reply + 6, ARP_REPLY);
	memcpy(reply + 8, NETWORK_GATEWAY_MAC, NETWORK_MAC_SIZE);
	put32(reply + 14, target);
	memcpy(reply + 18, NETWORK_GUEST_MAC, NETWORK_MAC_SIZE);
	put32(reply + 24, sender);
	return FRAME_ETHERNET_SIZE + ARP_SIZE;
}

struct tcp_header {
	uint32_t source, destination;
	uint16_t source_port, destination_port;
	uint32_t sequence, acknowledgement;
	uint8_t flags;
};

static size_t put_tcp(uint8_t *out, const struct tcp_header *header, bool is_to_guest)
{
	uint8_t *ip = out + FRAME_ETHERNET_SIZE, *tcp = ip + FRAME_IP_SIZE;

	put_ethernet(out, FRAME_IPV4, is_to_guest);
	put_ip_header(ip, PROTOCOL_TCP, header->source, header->destination, FRAME_TCP_SIZE);
	memset(tcp, 0, FRAME_TCP_SIZE);
	put16(tcp, header->source_port);
	put16(tcp + 2, header->destination_port);
	put32(tcp + 4, header->sequence);
	put32(tcp + 8, header->acknowledgement);
	tcp[12] = (FRAME_TCP_SIZE / 4) << 4;
	tcp[13] = header->flags;
	put16(tcp + 16, checksum_over(ip, FRAME_TCP_SIZE));
	return FRAME_ETHERNET_SIZE + FRAME_IP_SIZE + FRAME_TCP_SIZE;
}

size_t frame_make_reset(uint8_t out[FRAME_SMALL_MAX], const struct packet *packet)
{
	struct tcp_header header = {
		.source = packet->destination,
		.destination = packet->source,
		.source_port = packet->destination_port,
		.destination_port = packet->source_port,
		.flags = TCP_RST,
	};

	if (packet->tcp_flags & TCP_RST)
		return 0;
	/* RFC 9293, 3.5.2: from what the other side has said, or acknowledging all that it sent. */
	if (packet->tcp_flags & TCP_ACK) {
		header.sequence = packet->acknowledgement;
	} else {
		header.flags |= TCP_ACK;
		header.acknowledgement = packet->sequence + (uint32_t)packet->payload_size +
					 !!(packet->tcp_flags & TCP_SYN) + !!(packet->tcp_flags & TCP_FIN);
	}
	return put_tcp(out, &header, true);
}

size_t frame_make_reset_by_guest(uint8_t out[FRAME_SMALL_MAX], uint16_t port, uint32_t destination,
				 uint16_t destination_port)
{
	const struct tcp_header header = {
		.source = ADDRESS_GUEST,
		.destination = destination,
		.source_port = port,
		.destination_port = destination_port,
		.flags = TCP_RST,
	};

	return put_tcp(out, &header, false);
}

size_t frame_make_unreachable(uint8_t out[FRAME_SMALL_MAX], uint8_t code, uint16_t port, uint32_t destination,
			      uint16_t destination_port)
{
	uint8_t *ip = out + FRAME_ETHERNET_SIZE, *icmp = ip + FRAME_IP_SIZE, *quoted = icmp + ICMP_HEADER_SIZE;

	put_ethernet(out, FRAME_IPV4, true);
	put_ip_header(ip, PROTOCOL_ICMP, code == UNREACHABLE_PORT ? destination : ADDRESS_GATEWAY, ADDRESS_GUEST,
		      ICMP_HEADER_SIZE + ICMP_QUOTED_SIZE);
	memset(icmp, 0, ICMP_HEADER_SIZE);
	icmp[0] = ICMP_UNREACHABLE;
	icmp[1] = code;
	put_ip_header(quoted, PROTOCOL_UDP, ADDRESS_GUEST, destination, FRAME_UDP_SIZE);
	memset(quoted + FRAME_IP_SIZE, 0, FRAME_UDP_SIZE);
	put16(quoted + FRAME_IP_SIZE, port);
	put16(quoted + FRAME_IP_SIZE + 2, destination_port);
	put16(quoted + FRAME_IP_SIZE + 4, FRAME_UDP_SIZE);
	put16(icmp + 2, frame_checksum(icmp, ICMP_HEADER_SIZE + ICMP_QUOTED_SIZE, 0));
	return FRAME_ETHERNET_SIZE + FRAME_IP_SIZE + ICMP_HEADER_SIZE + ICMP_QUOTED_SIZE;
}

size_t frame_make_udp(uint8_t *out, size_t payload_size, uint32_t source, uint16_t source_port, uint16_t port)
{
	uint8_t *ip = out + FRAME_ETHERNET_SIZE, *udp = ip + FRAME_IP_SIZE;
	const size_t size = FRAME_UDP_SIZE + payload_size;
	uint16_t checksum;

	put_ethernet(out, FRAME_IPV4, true);
	put_ip_header(ip, PROTOCOL_UDP, source, ADDRESS_GUEST, size);
	memset(udp, 0, FRAME_UDP_SIZE);
	put16(udp, source_port);
	put16(udp + 2, port);
	put16(udp + 4, (uint16_t)size);
	checksum = checksum_over(ip, size);
	put16(udp + 6, checksum ? checksum : 0xffff); /* zero would say that there is none */
	return FRAME_ETHERNET_SIZE + FRAME_IP_SIZE + size;
}
