#include "api/rate_limit.h"

#define MINUTE_NS (60 * 1000000000ull)

uint64_t rate_limit_take(struct rate_limit *r, uint32_t per_minute, uint64_t now_ns)
{
	uint64_t full_ns = r->full_ns > now_ns ? r->full_ns : now_ns;

	if (per_minute == 0)
		return 0;
	/* Each token that is missing takes its time to come back; a minute's worth can be missing. */
	full_ns += MINUTE_NS / per_minute;
	if (full_ns - now_ns > MINUTE_NS)
		return full_ns - now_ns - MINUTE_NS;
	r->full_ns = full_ns;
	return 0;
}
