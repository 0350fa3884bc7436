/* Times of hearth-netd: nanoseconds of CLOCK_MONOTONIC. */
#ifndef HEARTH_NETWORK_NANOSECONDS_H
#define HEARTH_NETWORK_NANOSECONDS_H

#include <stdint.h>

#define NS_PER_SECOND INT64_C(1000000000)
#define NS_PER_MS     INT64_C(1000000)

#endif
