#include "api/egress_policy.h"

#include "common/policy_entry.h"

#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

/* ---- one entry --------------------------------------------------------------------------------------------------- */

static int check_entry(const char *entry, struct error *err)
{
	uint32_t address;
	unsigned int prefix;

	if (policy_entry_is_network(entry))
		return policy_entry_read_network(entry, &address, &prefix, err);
	if (policy_entry_is_name(strncmp(entry, "*.", 2) == 0 ? entry + 2 : entry))
		return 0;
	return error_set(err, EINVAL,
			 "'%.64s' is neither an IPv4 network (10.1.0.0/16), nor a name (example.org, or *.example.org "
			 "for those below it).",
			 entry);
}

/* ---- the list ---------------------------------------------------------------------------------------------------- */

const char *egress_policy_next(const char *at, bool *is_allowed, char entry[EGRESS_ENTRY_SIZE])
{
	const char *end = at + strcspn(at, "\n"), *text = at + strcspn(at, " \n");

	if (!*at)
		return NULL;
	text += *text == ' ';
	*is_allowed = *at == 'a';
	snprintf(entry, EGRESS_ENTRY_SIZE, "%.*s", (int)(end - text), text);
	return end + (*end == '\n');
}

static unsigned int count(const struct egress_policy *policy, bool is_allowed)
{
	char entry[EGRESS_ENTRY_SIZE];
	unsigned int n = 0;
	bool is_to_allow;

	for (const char *at = policy->lines; (at = egress_policy_next(at, &is_to_allow, entry));)
		n += is_to_allow == is_allowed;
	return n;
}

int egress_policy_add(struct egress_policy *policy, bool is_allowed, const char *entry, struct error *err)
{
	const char *verb = is_allowed ? "allow" : "deny";
	size_t used = strlen(policy->lines);
	char lower[EGRESS_ENTRY_SIZE];

	if (strlen(entry) >= sizeof(lower))
		return error_set(err, EINVAL, "'%.64s…' is too long: a name has at most %d characters.", entry,
				 NETWORK_DOMAIN_MAX);
	for (size_t i = 0; i <= strlen(entry); i++)
		lower[i] = (char)(entry[i] >= 'A' && entry[i] <= 'Z' ? entry[i] | 0x20 : entry[i]);
	if (check_entry(lower, err) < 0)
		return -err->code;
	if (count(policy, is_allowed) == EGRESS_ENTRIES_MAX)
		return error_set(err, EINVAL, "There are more than %d entries to %s.", EGRESS_ENTRIES_MAX, verb);
	if (used + strlen(verb) + strlen(lower) + 2 >= sizeof(policy->lines))
		return error_set(err, EINVAL, "The entries have more than %d characters in all.", EGRESS_LINES_SIZE);
	snprintf(policy->lines + used, sizeof(policy->lines) - used, "%s %s\n", verb, lower);
	return 0;
}

void egress_policy_clear(struct egress_policy *policy, bool is_allowed)
{
	struct egress_policy rest = { .is_denied_by_default = policy->is_denied_by_default };
	char entry[EGRESS_ENTRY_SIZE];
	struct error err;
	bool is_to_allow;

	for (const char *at = policy->lines; (at = egress_policy_next(at, &is_to_allow, entry));)
		if (is_to_allow != is_allowed)
			egress_policy_add(&rest, is_to_allow, entry, &err);
	memcpy(policy->lines, rest.lines, sizeof(policy->lines));
}

int egress_policy_read_lines(struct egress_policy *policy, const char *text, struct error *err)
{
	char entry[EGRESS_ENTRY_SIZE];
	bool is_allowed;

	memset(policy->lines, 0, sizeof(policy->lines));
	while (*text) {
		if (strncmp(text, "allow ", 6) != 0 && strncmp(text, "deny ", 5) != 0)
			return error_set(err, EINVAL, "'%.32s' is no line of an egress policy.", text);
		text = egress_policy_next(text, &is_allowed, entry);
		if (egress_policy_add(policy, is_allowed, entry, err) < 0)
			return -err->code;
	}
	return 0;
}

void egress_policy_format(const struct egress_policy *policy, char text[EGRESS_TEXT_SIZE])
{
	snprintf(text, EGRESS_TEXT_SIZE, "default %s\n%s", policy->is_denied_by_default ? "deny" : "allow",
		 policy->lines);
}
