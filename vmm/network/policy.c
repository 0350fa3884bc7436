#include "vmm/network/policy.h"

#include "common/policy_entry.h"
#include "vmm/network/frame.h"

#include <arpa/inet.h>
#include <errno.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { LINE_MAX_SIZE = 512 };

/* ---- ranges that nobody reaches by default (RFC 6890) ------------------------------------------------------------ */

#define NETWORK(a, b, c, d, prefix_length)                                                                             \
	{                                                                                                              \
		.address = ADDRESS(a, b, c, d), .prefix = (prefix_length)                                              \
	}

static const struct policy_network closed[] = {
	NETWORK(0, 0, 0, 0, 8),        /* this network */
	NETWORK(10, 0, 0, 0, 8),       /* private */
	NETWORK(100, 64, 0, 0, 10),    /* shared, behind a provider's translation */
	NETWORK(127, 0, 0, 0, 8),      /* loopback */
	NETWORK(169, 254, 0, 0, 16),   /* link-local: where clouds have their metadata */
	NETWORK(168, 63, 129, 16, 32), /* what Azure's virtual machines have beside it: WireServer */
	NETWORK(172, 16, 0, 0, 12),    /* private */
	NETWORK(192, 0, 0, 0, 24),     /* protocol assignments */
	NETWORK(192, 0, 2, 0, 24),     /* documentation */
	NETWORK(192, 168, 0, 0, 16),   /* private */
	NETWORK(198, 18, 0, 0, 15),    /* benchmarks */
	NETWORK(198, 51, 100, 0, 24),  /* documentation */
	NETWORK(203, 0, 113, 0, 24),   /* documentation */
	NETWORK(224, 0, 0, 0, 4),      /* multicast */
	NETWORK(240, 0, 0, 0, 4),      /* reserved, and broadcast */
};

static uint32_t mask_of(unsigned prefix)
{
	return prefix == 0 ? 0 : UINT32_MAX << (32 - prefix);
}

static bool holds(const struct policy_network *network, uint32_t address)
{
	return (address & mask_of(network->prefix)) == network->address;
}

/* ---- the text ---------------------------------------------------------------------------------------------------- */

static int parse_network(struct policy *policy, const char *text, bool is_allowed, struct error *err)
{
	struct policy_network *network = &policy->networks[policy->n_networks];
	unsigned int prefix;

	if (policy->n_networks == NETWORK_POLICY_NETWORKS_MAX)
		return error_set(err, E2BIG, "more than %d networks", NETWORK_POLICY_NETWORKS_MAX);
	if (policy_entry_read_network(text, &network->address, &prefix, err) < 0)
		return -err->code;
	network->prefix = (uint8_t)prefix;
	network->is_allowed = is_allowed;
	policy->n_networks++;
	return 0;
}

static int parse_domain(struct policy *policy, char *text, bool is_allowed, struct error *err)
{
	struct policy_domain *domain = &policy->domains[policy->n_domains];

	if (policy->n_domains == NETWORK_POLICY_DOMAINS_MAX)
		return error_set(err, E2BIG, "more than %d names", NETWORK_POLICY_DOMAINS_MAX);
	for (char *c = text; *c; c++)
		if (*c >= 'A' && *c <= 'Z')
			*c = (char)(*c | 0x20);
	domain->is_below = strncmp(text, "*.", 2) == 0;
	domain->is_allowed = is_allowed;
	if (domain->is_below)
		text += 2;
	if (!policy_entry_is_name(text))
		return error_set(err, EINVAL, "%.64s is neither an IPv4 network nor a name", text);
	memcpy(domain->name, text, strlen(text) + 1);
	policy->n_domains++;
	return 0;
}

static int parse_line(struct policy *policy, char *line, bool *has_default, struct error *err)
{
	char *save = NULL;
	char *verb = strtok_r(line, " \t\r", &save), *entry = strtok_r(NULL, " \t\r", &save);
	bool is_allowed;

	if (!verb || *verb == '#')
		return 0;
	if (!entry || strtok_r(NULL, " \t\r", &save))
		return error_set(err, EINVAL, "two words are needed");
	if (strcmp(verb, "default") == 0) {
		if (*has_default || (strcmp(entry, "allow") != 0 && strcmp(entry, "deny") != 0))
			return error_set(err, EINVAL, "default allow or default deny is needed, once");
		*has_default = true;
		policy->is_allowed_by_default = *entry == 'a';
		return 0;
	}
	if (strcmp(verb, "allow") != 0 && strcmp(verb, "deny") != 0)
		return error_set(err, EINVAL, "%.16s: allow, deny or default is needed", verb);
	is_allowed = *verb == 'a';
	return policy_entry_is_network(entry) ? parse_network(policy, entry, is_allowed, err)
					      : parse_domain(policy, entry, is_allowed, err);
}

int policy_parse(struct policy *policy, const char *text, size_t size, struct error *err)
{
	const char *end = text + size;
	bool has_default = false;

	policy->n_networks = policy->n_domains = 0;
	for (unsigned number = 1; text < end; number++) {
		const char *newline = memchr(text, '\n', (size_t)(end - text));
		const size_t length = (size_t)((newline ? newline : end) - text);
		char line[LINE_MAX_SIZE];

		if (length >= sizeof(line) || memchr(text, '\0', length))
			return error_set(err, EINVAL, "line %u is too long, or not text", number);
		memcpy(line, text, length);
		line[length] = '\0';
		if (parse_line(policy, line, &has_default, err) < 0)
			return error_wrap(err, "line %u", number);
		text += length + (newline ? 1 : 0);
	}
	return has_default ? 0 : error_set(err, EINVAL, "it does not say default allow or default deny");
}

int policy_learn_host_addresses(struct policy *policy, struct error *err)
{
	struct ifaddrs *all;

	policy->n_host_addresses = 0;
	if (getifaddrs(&all) < 0)
		return error_set(err, errno, "cannot read this machine's addresses: %s", strerror(errno));
	for (const struct ifaddrs *one = all; one && policy->n_host_addresses < POLICY_HOST_ADDRESSES_MAX;
	     one = one->ifa_next) {
		struct sockaddr_in address;

		if (!one->ifa_addr || one->ifa_addr->sa_family != AF_INET)
			continue;
		memcpy(&address, one->ifa_addr, sizeof(address));
		policy->host_addresses[policy->n_host_addresses++] = ntohl(address.sin_addr.s_addr);
	}
	freeifaddrs(all);
	if (policy->n_host_addresses == POLICY_HOST_ADDRESSES_MAX)
		return error_set(err, E2BIG, "this machine has %d addresses or more, and not all could be denied",
				 POLICY_HOST_ADDRESSES_MAX);
	return 0;
}

/* ---- decisions --------------------------------------------------------------------------------------------------- */

/* The entry with the longest prefix; of two, the one that denies. NULL if none fits. */
static const struct policy_network *entry_for(const struct policy *policy, uint32_t address)
{
	const struct policy_network *best = NULL;

	for (unsigned i = 0; i < policy->n_networks; i++) {
		const struct policy_network *one = &policy->networks[i];

		if (holds(one, address) && (!best || one->prefix > best->prefix ||
					    (one->prefix == best->prefix && best->is_allowed && !one->is_allowed)))
			best = one;
	}
	return best;
}

/* How long a prefix has to be to open the address: 0 if it is open by itself. */
static unsigned prefix_that_opens(const struct policy *policy, uint32_t address, enum reason *reason)
{
	for (unsigned i = 0; i < policy->n_host_addresses; i++) {
		if (policy->host_addresses[i] == address) {
			*reason = REASON_HOST;
			return 32;
		}
	}
	*reason = REASON_PRIVATE;
	for (size_t i = 0; i < sizeof(closed) / sizeof(closed[0]); i++)
		if (holds(&closed[i], address))
			return closed[i].prefix;
	return 0;
}

struct verdict policy_address(const struct policy *policy, uint32_t address, bool is_named)
{
	const struct policy_network *entry = entry_for(policy, address);
	enum reason reason;
	const unsigned prefix = prefix_that_opens(policy, address, &reason);

	if (entry && !entry->is_allowed)
		return denied(REASON_NETWORK);
	if (prefix > 0)
		return entry && entry->prefix >= prefix ? allowed(REASON_NETWORK) : denied(reason);
	if (entry)
		return allowed(REASON_NETWORK);
	if (policy->is_allowed_by_default)
		return allowed(REASON_DEFAULT);
	return is_named ? allowed(REASON_DOMAIN) : denied(REASON_DEFAULT);
}

static bool fits(const struct policy_domain *domain, const char *name)
{
	const size_t length = strlen(name), own = strlen(domain->name);

	if (!domain->is_below)
		return strcmp(name, domain->name) == 0;
	return length > own + 1 && name[length - own - 1] == '.' && strcmp(name + length - own, domain->name) == 0;
}

struct verdict policy_name(const struct policy *policy, const char *name)
{
	bool is_allowed = false;

	for (unsigned i = 0; i < policy->n_domains; i++) {
		if (!fits(&policy->domains[i], name))
			continue;
		if (!policy->domains[i].is_allowed)
			return denied(REASON_DOMAIN);
		is_allowed = true;
	}
	if (is_allowed)
		return allowed(REASON_DOMAIN);
	return policy->is_allowed_by_default ? allowed(REASON_DEFAULT) : denied(REASON_DEFAULT);
}
