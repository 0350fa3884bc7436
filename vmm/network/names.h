/* For which name an address was the answer, and until when: what a resolver has said. */
#ifndef HEARTH_NETWORK_NAMES_H
#define HEARTH_NETWORK_NAMES_H

#include "vmm/network/dns.h"

#include <stdint.h>

enum {
	NAMES_MAX = 512,
	/* Programs keep addresses for a while, whatever the answer says. */
	NAMES_SECONDS_MIN = 60,
	NAMES_SECONDS_MAX = 86400,
};

struct names {
	struct name {
		uint32_t address; /* 0: free */
		int64_t until_ns;
		char name[DNS_NAME_MAX + 1];
	} entries[NAMES_MAX];
};

/* Keeps all addresses of an answer; where there is no room, instead of those that end first. */
void names_learn(struct names *names, const char *name, const struct dns_answer *answer, int64_t now_ns);

/* The name, as long as it counts; or NULL. */
const char *names_find(const struct names *names, uint32_t address, int64_t now_ns);

#endif
