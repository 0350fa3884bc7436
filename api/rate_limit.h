/* A limit on how often something may happen: a token bucket that holds a minute's worth and begins full. */
#ifndef HEARTH_API_RATE_LIMIT_H
#define HEARTH_API_RATE_LIMIT_H

#include <stdint.h>

/* All zero at first. */
struct rate_limit {
	uint64_t full_ns; /* when the bucket is full again if nothing else happens */
};

/*
 * Takes a token at `now_ns`, if there is one; `per_minute` come each minute, which may change between two calls. 0, or the
 * nanoseconds after which there is one. 0 a minute is no limit.
 */
uint64_t rate_limit_take(struct rate_limit *r, uint32_t per_minute, uint64_t now_ns);

#endif
