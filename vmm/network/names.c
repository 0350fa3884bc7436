#include "vmm/network/names.h"

#include "vmm/network/nanoseconds.h"

#include <string.h>

/* The entry of the address, or the one that it may have. */
static struct name *place_for(struct names *names, uint32_t address)
{
	struct name *oldest = &names->entries[0];

	for (unsigned i = 0; i < NAMES_MAX; i++) {
		struct name *one = &names->entries[i];

		if (one->address == address)
			return one;
		if (one->until_ns < oldest->until_ns)
			oldest = one;
	}
	return oldest;
}

void names_learn(struct names *names, const char *name, const struct dns_answer *answer, int64_t now_ns)
{
	uint32_t seconds = answer->seconds;

	if (seconds < NAMES_SECONDS_MIN)
		seconds = NAMES_SECONDS_MIN;
	if (seconds > NAMES_SECONDS_MAX)
		seconds = NAMES_SECONDS_MAX;
	for (unsigned i = 0; i < answer->n_addresses; i++) {
		struct name *entry;

		if (answer->addresses[i] == 0)
			continue;
		entry = place_for(names, answer->addresses[i]);
		entry->address = answer->addresses[i];
		entry->until_ns = now_ns + seconds * NS_PER_SECOND;
		strncpy(entry->name, name, sizeof(entry->name) - 1);
	}
}

const char *names_find(const struct names *names, uint32_t address, int64_t now_ns)
{
	for (unsigned i = 0; address && i < NAMES_MAX; i++)
		if (names->entries[i].address == address)
			return names->entries[i].until_ns > now_ns ? names->entries[i].name : NULL;
	return NULL;
}
