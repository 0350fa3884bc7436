/*
 * Whom the sessions of a pool may reach: what is done by default, and a list of networks and names. A plain value, kept as
 * the lines that hearth-netd reads (common/network_protocol.h says what they mean; docs/network.md says it to users).
 */
#ifndef HEARTH_API_EGRESS_POLICY_H
#define HEARTH_API_EGRESS_POLICY_H

#include "common/error.h"
#include "common/network_protocol.h"

#include <stdbool.h>
#include <stddef.h>

enum {
	EGRESS_ENTRIES_MAX = 64,                        /* to allow, and as many to deny */
	EGRESS_ENTRY_SIZE = NETWORK_DOMAIN_MAX + 2 + 1, /* "*." and NUL */
	EGRESS_LINES_SIZE = 4096,                       /* of all entries with their verbs, and NUL */
	EGRESS_TEXT_SIZE = EGRESS_LINES_SIZE + 32,
};

struct egress_policy {
	bool is_denied_by_default;
	char lines[EGRESS_LINES_SIZE]; /* "allow ENTRY" or "deny ENTRY" each; zeros after the text */
};

/* Adds an IPv4 network, an address, a name or "*.name". 0, or -EINVAL with *err saying what is wrong with it. */
int egress_policy_add(struct egress_policy *policy, bool is_allowed, const char *entry, struct error *err);

/* Leaves out the entries to allow, or those to deny. */
void egress_policy_clear(struct egress_policy *policy, bool is_allowed);

/* Replaces the lines by those of `text`, of which each is checked. 0, or -EINVAL with *err filled. */
int egress_policy_read_lines(struct egress_policy *policy, const char *text, struct error *err);

/* The entry of the line at `at`, and where the next one begins; NULL at the end. Begins with policy->lines. */
const char *egress_policy_next(const char *at, bool *is_allowed, char entry[EGRESS_ENTRY_SIZE]);

/* The text for hearth-netd. */
void egress_policy_format(const struct egress_policy *policy, char text[EGRESS_TEXT_SIZE]);

#endif
