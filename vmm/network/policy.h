/*
 * Who may be reached: the pool's policy over ranges that nobody reaches by default. Its text and its rules stand in
 * common/network_protocol.h.
 */
#ifndef HEARTH_NETWORK_POLICY_H
#define HEARTH_NETWORK_POLICY_H

#include "common/error.h"
#include "common/network_protocol.h"
#include "vmm/network/verdict.h"

#include <stddef.h>
#include <stdint.h>

enum { POLICY_HOST_ADDRESSES_MAX = 1024 };

/* Addresses are in the host's byte order. */
struct policy_network {
	uint32_t address;
	uint8_t prefix; /* bits */
	bool is_allowed;
};

struct policy_domain {
	char name[NETWORK_DOMAIN_MAX + 1]; /* lower case; without the "*." */
	bool is_below;                     /* names below it, and not itself */
	bool is_allowed;
};

struct policy {
	bool is_allowed_by_default;
	unsigned n_networks, n_domains, n_host_addresses;
	struct policy_network networks[NETWORK_POLICY_NETWORKS_MAX];
	struct policy_domain domains[NETWORK_POLICY_DOMAINS_MAX];
	uint32_t host_addresses[POLICY_HOST_ADDRESSES_MAX];
};

/* Reads the text (need not end with NUL). Negative with *err set, which names the line, if it is no policy. */
int policy_parse(struct policy *policy, const char *text, size_t size, struct error *err);

/* The addresses of this machine's interfaces, which are denied as if they were private. Negative with *err set. */
int policy_learn_host_addresses(struct policy *policy, struct error *err);

/* May this address be reached? `is_named`: it was the answer for a name that is allowed. */
struct verdict policy_address(const struct policy *policy, uint32_t address, bool is_named);

/* May this name (lower case, no final dot) be resolved? */
struct verdict policy_name(const struct policy *policy, const char *name);

#endif
