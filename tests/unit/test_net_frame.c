#include "vmm/network/frame.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

/* A SYN of a Linux guest: to 93.184.216.34 port 80, with options. */
static const uint8_t syn[] = {
	2, 0,  0, 0,    0,    1,  2,    0,    0,    0,    0,   2,   8,  0,    0x45, 0,    0,  48, 0, 1, 0x40,
	0, 64, 6, 0xa8, 0x4b, 10, 0,    2,    15,   93,   184, 216, 34, 0x9c, 0x40, 0,    80, 0,  0, 0, 9,
	0, 0,  0, 0,    0x70, 2,  0xff, 0xff, 0x12, 0x34, 0,   0,   2,  4,    5,    0xb4, 3,  3,  7, 0,
};

static uint8_t frame[sizeof(syn) + 64];

static enum reason why_not(size_t size)
{
	struct packet packet;
	const struct verdict verdict = frame_parse(frame, size, &packet);

	assert_false(verdict.is_allowed);
	return verdict.reason;
}

/* The header's checksum over what stands there now. */
static void mend(void)
{
	uint16_t sum;

	memset(frame + 24, 0, 2);
	sum = frame_checksum(frame + 14, 20, 0);
	frame[24] = (uint8_t)(sum >> 8);
	frame[25] = (uint8_t)sum;
}

static void begin(void)
{
	memset(frame, 0, sizeof(frame));
	memcpy(frame, syn, sizeof(syn));
	mend();
}

static void a_packet_is_taken_apart(void **state)
{
	struct packet packet;

	(void)state;
	begin();
	assert_true(frame_parse(frame, sizeof(syn) + 20, &packet).is_allowed);
	assert_int_equal(packet.size, sizeof(syn)); /* what fills up a frame does not count */
	assert_int_equal(packet.source, ADDRESS_GUEST);
	assert_int_equal(packet.destination, ADDRESS(93, 184, 216, 34));
	assert_int_equal(packet.source_port, 40000);
	assert_int_equal(packet.destination_port, 80);
	assert_int_equal(packet.sequence, 9);
	assert_int_equal(packet.tcp_flags, TCP_SYN);
	assert_int_equal(packet.payload_size, 0);
}

static void what_begins_does_not_end(void **state)
{
	(void)state;
	for (uint8_t flags = TCP_SYN; flags < 0x40; flags++) {
		struct packet packet;
		const bool is_both = flags & TCP_SYN && flags & (TCP_FIN | TCP_RST);

		begin();
		frame[47] = flags;
		assert_int_equal(frame_parse(frame, sizeof(syn), &packet).is_allowed, !is_both);
	}
}

/* Of a SYN with these eight bytes of options. */
static bool is_sound(const char *options)
{
	struct packet packet;

	begin();
	memcpy(frame + 54, options, 8);
	assert_true(frame_parse(frame, sizeof(syn), &packet).is_allowed);
	return frame_has_sound_mss(frame, &packet);
}

static void segments_have_a_size_that_fits(void **state)
{
	struct packet packet;

	(void)state;
	begin();
	assert_true(frame_parse(frame, sizeof(syn), &packet).is_allowed);
	assert_true(frame_has_sound_mss(frame, &packet));
	frame[46] = 0x50; /* none */
	assert_true(frame_parse(frame, sizeof(syn), &packet).is_allowed);
	assert_true(frame_has_sound_mss(frame, &packet));
	assert_true(is_sound("\2\4\xff\xc8\1\1\1\1"));
	assert_false(is_sound("\2\4\xff\xc9\1\1\1\1"));
	assert_true(is_sound("\2\4\0\x58\1\1\1\1"));
	assert_false(is_sound("\2\4\0\x57\1\1\1\1"));
	assert_false(is_sound("\2\4\0\x58\2\4\0\0")); /* another one */
	assert_true(is_sound("\2\4\0\x58\0\4\0\0"));  /* behind the end */
	assert_false(is_sound("\2\3\1\1\1\1\1\1"));
	assert_false(is_sound("\x63\0\1\1\1\1\1\1"));
	assert_false(is_sound("\x63\x09\1\1\1\1\1\1"));
	assert_false(is_sound("\1\1\1\1\1\1\1\2"));
}

static void what_does_not_agree_is_refused(void **state)
{
	(void)state;
	for (size_t size = 0; size < sizeof(syn); size++) {
		begin();
		assert_int_equal(why_not(size), REASON_MALFORMED);
	}
	frame[25] ^= 1; /* checksum */
	assert_int_equal(why_not(sizeof(syn)), REASON_MALFORMED);
	begin();
	frame[46] = 0xf0; /* a TCP header longer than the packet */
	assert_int_equal(why_not(sizeof(syn)), REASON_MALFORMED);
	frame[46] = 0x40;
	assert_int_equal(why_not(sizeof(syn)), REASON_MALFORMED);
	begin();
	frame[14] = 0x46;
	assert_int_equal(why_not(sizeof(syn)), REASON_OPTIONS);
	begin();
	frame[20] = 0x20;
	mend();
	assert_int_equal(why_not(sizeof(syn)), REASON_FRAGMENT);
	begin();
	frame[21] = 1;
	mend();
	assert_int_equal(why_not(sizeof(syn)), REASON_FRAGMENT);
	begin();
	frame[23] = 47;
	mend();
	assert_int_equal(why_not(sizeof(syn)), REASON_PROTOCOL);
	begin();
	frame[12] = 0x86;
	frame[13] = 0xdd;
	assert_int_equal(why_not(sizeof(syn)), REASON_PROTOCOL);
	begin();
	frame[23] = PROTOCOL_UDP; /* whose length is another */
	mend();
	assert_int_equal(why_not(sizeof(syn)), REASON_MALFORMED);
	assert_int_equal(why_not(NETWORK_FRAME_MAX + 1), REASON_MALFORMED);
}

/* Over the TCP or UDP part with the addresses: zero if it is right. */
static uint16_t transport_checksum(const uint8_t *made, size_t size)
{
	const size_t length = size - 34;
	const uint8_t pseudo[] = { made[26],
				   made[27],
				   made[28],
				   made[29],
				   made[30],
				   made[31],
				   made[32],
				   made[33],
				   0,
				   made[23],
				   (uint8_t)(length >> 8),
				   (uint8_t)length };

	return frame_checksum(made + 34, length, (uint16_t)~frame_checksum(pseudo, sizeof(pseudo), 0));
}

static void a_reset_acknowledges_what_came(void **state)
{
	uint8_t reset[FRAME_SMALL_MAX];
	struct packet packet, answer;
	size_t size;

	(void)state;
	begin();
	frame_parse(frame, sizeof(syn), &packet);
	size = frame_make_reset(reset, &packet);
	assert_true(frame_parse(reset, size, &answer).is_allowed);
	assert_int_equal(answer.tcp_flags, TCP_RST | TCP_ACK);
	assert_int_equal(answer.acknowledgement, 10);
	assert_int_equal(answer.destination, ADDRESS_GUEST);
	assert_int_equal(answer.destination_port, 40000);
	assert_int_equal(transport_checksum(reset, size), 0);
	packet.tcp_flags = TCP_ACK;
	packet.acknowledgement = 77;
	frame_parse(reset, frame_make_reset(reset, &packet), &answer);
	assert_int_equal(answer.tcp_flags, TCP_RST);
	assert_int_equal(answer.sequence, 77);
	packet.tcp_flags = TCP_RST; /* never an answer to one */
	assert_int_equal(frame_make_reset(reset, &packet), 0);
}

static void what_is_made_has_right_checksums(void **state)
{
	static uint8_t made[NETWORK_FRAME_MAX];
	struct packet packet;
	size_t size;

	(void)state;
	for (size_t payload = 0; payload < 70; payload += 3) {
		memset(made + FRAME_UDP_PAYLOAD, 0xa5, payload);
		size = frame_make_udp(made, payload, ADDRESS_GATEWAY, 53, 4000);
		assert_true(frame_parse(made, size, &packet).is_allowed);
		assert_int_equal(packet.payload_size, payload);
		assert_int_equal(transport_checksum(made, size), 0);
	}
	size = frame_make_udp(made, FRAME_UDP_PAYLOAD_MAX, 1, 2, 3);
	assert_int_equal(size, NETWORK_FRAME_MAX);
	assert_true(frame_parse(made, size, &packet).is_allowed);
	size = frame_make_reset_by_guest(made, 1, 2, 3);
	assert_int_equal(transport_checksum(made, size), 0);
	size = frame_make_unreachable(made, UNREACHABLE_PROHIBITED, 1, 2, 3);
	assert_int_equal(frame_checksum(made + 34, size - 34, 0), 0);
}

static void arp_is_answered_to_the_guest_alone(void **state)
{
	uint8_t request[42] = { 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2, 0,  0, 0, 0,  2, 8, 6, 0, 1, 8, 0,  6, 4, 0,
				1,    2,    0,    0,    0,    0,    2, 10, 0, 2, 15, 0, 0, 0, 0, 0, 0, 10, 0, 2, 2 };
	uint8_t reply[FRAME_SMALL_MAX];
	enum reason reason;

	(void)state;
	assert_int_equal(frame_make_arp_reply(reply, request, &reason), 42);
	assert_memory_equal(reply + 22, NETWORK_GATEWAY_MAC, 6);
	assert_memory_equal(reply + 28, "\x0a\x00\x02\x02", 4);
	request[41] = 15; /* its own address: it asks whether somebody has it */
	assert_int_equal(frame_make_arp_reply(reply, request, &reason), 0);
	assert_int_equal(reason, REASON_DEFAULT);
	request[41] = 2;
	request[31] = 16; /* it says that it is another */
	assert_int_equal(frame_make_arp_reply(reply, request, &reason), 0);
	assert_int_equal(reason, REASON_SOURCE);
	request[31] = 15;
	request[21] = 2; /* a reply, which nobody asked for */
	assert_int_equal(frame_make_arp_reply(reply, request, &reason), 0);
	assert_int_equal(reason, REASON_MALFORMED);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_packet_is_taken_apart),
		cmocka_unit_test(what_does_not_agree_is_refused),
		cmocka_unit_test(what_begins_does_not_end),
		cmocka_unit_test(segments_have_a_size_that_fits),
		cmocka_unit_test(a_reset_acknowledges_what_came),
		cmocka_unit_test(what_is_made_has_right_checksums),
		cmocka_unit_test(arp_is_answered_to_the_guest_alone),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
