/*
 * The DNS messages that pass between a guest and the resolvers (RFC 1035), in memory alone. A guest's question is taken
 * apart and asked anew: nothing of its message reaches a resolver but the name and the type. Of an answer the guest gets
 * the section with the answers, without the rest.
 */
#ifndef HEARTH_NETWORK_DNS_H
#define HEARTH_NETWORK_DNS_H

#include "common/network_protocol.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
	DNS_HEADER_SIZE = 12,
	DNS_NAME_MAX = 128,    /* bytes of a name that a guest may ask for: a longer one carries data out */
	DNS_QUERY_MAX = 512,   /* bytes of a message that asks */
	DNS_ANSWER_MAX = 4096, /* bytes of one that answers, which is what resolvers are told */
	DNS_ADDRESSES_MAX = DNS_ANSWER_MAX / 16, /* of one answer: as many as it has room for */
	DNS_WIRE_NAME_MAX = DNS_NAME_MAX + 2,
};

enum dns_code {
	DNS_NO_ERROR = 0,
	DNS_FORMAT_ERROR = 1,
	DNS_SERVER_FAILURE = 2,
	DNS_NOT_IMPLEMENTED = 4,
	DNS_REFUSED = 5,
};

enum dns_type {
	DNS_A = 1,
	DNS_NS = 2,
	DNS_CNAME = 5,
	DNS_SOA = 6,
	DNS_PTR = 12,
	DNS_MX = 15,
	DNS_TXT = 16,
	DNS_AAAA = 28,
	DNS_SRV = 33,
	DNS_SVCB = 64,
	DNS_HTTPS = 65,
};

struct dns_question {
	uint16_t id; /* that the guest has chosen */
	uint16_t type;
	char name[DNS_NAME_MAX + 1];     /* lower case, no final dot; "" is the root */
	uint8_t wire[DNS_WIRE_NAME_MAX]; /* as the guest wrote it */
	size_t wire_size;
};

struct dns_answer {
	unsigned n_addresses;
	uint32_t addresses[DNS_ADDRESSES_MAX]; /* host's byte order */
	uint32_t seconds;                      /* how long they may be kept: the shortest of them */
};

/*
 * Takes a guest's message apart. DNS_NO_ERROR, or with what it has to be answered; negative if it is no question at all and
 * is not answered.
 */
int dns_parse_question(const uint8_t *message, size_t size, struct dns_question *question);

/* May be asked of a resolver; of AAAA, HTTPS and SVCB the answer is that there are none. */
enum dns_handling { DNS_ASK, DNS_ANSWER_EMPTY, DNS_REFUSE } dns_handling(uint16_t type);

/* The message for a resolver. Returns its size. */
size_t dns_make_query(uint8_t out[DNS_QUERY_MAX], const struct dns_question *question, uint16_t id);

/* An answer without content. Returns its size. */
size_t dns_make_answer(uint8_t out[DNS_QUERY_MAX], const struct dns_question *question, enum dns_code code);

/*
 * Takes a resolver's answer to the question, asked under `id`, and makes it the guest's, in place. Every name of the chain
 * of aliases goes to `is_allowed`. Returns its new size; 0 if it is no answer to this question or does not hold
 * together; or -DNS_REFUSED if an alias is not allowed.
 */
int dns_take_answer(uint8_t *message, size_t size, const struct dns_question *question, uint16_t id,
		    bool (*is_allowed)(void *opaque, const char *name), void *opaque, struct dns_answer *answer);

#endif
