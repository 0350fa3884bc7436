#include "common/policy_entry.h"

#include "common/network_protocol.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { LABEL_MAX = 63 };

/* A last label of digits alone is no name of the Internet, but a mistyped address. */
bool policy_entry_is_network(const char *entry)
{
	const char *dot = strrchr(entry, '.');
	const char *last = dot ? dot + 1 : entry;

	return strpbrk(entry, "/:") || (*last && last[strspn(last, "0123456789")] == '\0');
}

int policy_entry_read_network(const char *entry, uint32_t *address, unsigned int *prefix, struct error *err)
{
	const char *slash = strchr(entry, '/');
	size_t length = slash ? (size_t)(slash - entry) : strlen(entry);
	char text[INET_ADDRSTRLEN], *end = NULL;
	struct in_addr parsed;
	unsigned long bits = 32;

	if (slash)
		bits = strtoul(slash + 1, &end, 10);
	if (slash && (slash[1] < '0' || slash[1] > '9' || *end || bits > 32))
		return error_set(err, EINVAL, "'%.64s' needs a prefix from /0 to /32.", entry);
	if (length >= sizeof(text))
		return error_set(err, EINVAL, "'%.64s' is no IPv4 network; sessions have no IPv6.", entry);
	memcpy(text, entry, length);
	text[length] = '\0';
	if (inet_pton(AF_INET, text, &parsed) != 1)
		return error_set(err, EINVAL, "'%.64s' is no IPv4 network; sessions have no IPv6.", entry);
	*address = ntohl(parsed.s_addr);
	*prefix = (unsigned int)bits;
	if (bits < 32 && *address & UINT32_MAX >> bits)
		return error_set(err, EINVAL, "'%.64s' has bits after its prefix: they must be zero.", entry);
	return 0;
}

bool policy_entry_is_name(const char *text)
{
	static const char letters[] = "abcdefghijklmnopqrstuvwxyz0123456789-_";

	if (strlen(text) > NETWORK_DOMAIN_MAX)
		return false;
	for (;;) {
		size_t label = strspn(text, letters);

		if (label == 0 || label > LABEL_MAX)
			return false;
		if (text[label] != '.')
			return text[label] == '\0';
		text += label + 1;
	}
}
