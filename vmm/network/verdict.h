/* What was decided about a packet or a name, and why. The reasons' names are what the log says (common/network_protocol.h). */
#ifndef HEARTH_NETWORK_VERDICT_H
#define HEARTH_NETWORK_VERDICT_H

#include <stdbool.h>

enum reason {
	REASON_DEFAULT,     /* of the policy */
	REASON_NETWORK,     /* an entry of the policy that is a network */
	REASON_DOMAIN,      /* an entry that is a name */
	REASON_PRIVATE,     /* a range that nobody reaches by default: loopback, private, link-local and so on */
	REASON_HOST,        /* an address of the host's own */
	REASON_GATEWAY,     /* the gateway offers nothing but names */
	REASON_RESOLVER,    /* a name that cannot be asked for: its type, its length, a question of another kind */
	REASON_PROTOCOL,    /* not TCP, not UDP */
	REASON_SOURCE,      /* an address that is not the guest's */
	REASON_BROADCAST,   /* to many */
	REASON_FRAGMENT,    /* of an IP packet */
	REASON_OPTIONS,     /* of an IP packet */
	REASON_MALFORMED,   /* lengths or checksums that do not agree */
	REASON_FULL,        /* as many connections as there may be */
	REASON_RATE,        /* more connections or names a second than there may be */
	REASON_UNREACHABLE, /* the host has no way there */
	REASON_PASST_ENDED,
	REASON_ENDED,
	REASON_COUNT,
};

struct verdict {
	bool is_allowed;
	enum reason reason;
};

/* The word for the log. */
const char *reason_name(enum reason reason);

static inline struct verdict allowed(enum reason reason)
{
	return (struct verdict) { .is_allowed = true, .reason = reason };
}

static inline struct verdict denied(enum reason reason)
{
	return (struct verdict) { .is_allowed = false, .reason = reason };
}

#endif
