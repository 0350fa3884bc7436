/* A token bucket: so many at once, so many a second. */
#ifndef HEARTH_NETWORK_RATE_H
#define HEARTH_NETWORK_RATE_H

#include "vmm/network/nanoseconds.h"

#include <stdbool.h>
#include <stdint.h>

struct rate {
	int64_t per_second, at_once;
	int64_t level_ns; /* of time saved; starts full */
	int64_t last_ns;
	bool is_begun;
};

/* True, and one is taken, if there is one left. */
static inline bool rate_take(struct rate *rate, int64_t now_ns)
{
	const int64_t cost = NS_PER_SECOND / rate->per_second, most = cost * rate->at_once;

	rate->level_ns = rate->is_begun ? rate->level_ns + (now_ns - rate->last_ns) : most;
	rate->is_begun = true;
	rate->last_ns = now_ns;
	if (rate->level_ns > most)
		rate->level_ns = most;
	if (rate->level_ns < cost)
		return false;
	rate->level_ns -= cost;
	return true;
}

#endif
