/* Points in time as the API writes them. */
#ifndef HEARTH_API_TIMESTAMP_H
#define HEARTH_API_TIMESTAMP_H

#include <stdint.h>

enum {
	TIMESTAMP_SIZE = 40, /* with its NUL */
};

/* Milliseconds since 1970 of CLOCK_REALTIME. */
int64_t timestamp_now_ms(void);

/* RFC 3339 in UTC with seven digits after the second, as Azure has it: 2024-11-11T09:05:02.4860000Z. */
void timestamp_format(char out[TIMESTAMP_SIZE], int64_t ms);

#endif
