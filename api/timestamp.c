#include "api/timestamp.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

int64_t timestamp_now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

void timestamp_format(char out[TIMESTAMP_SIZE], int64_t ms)
{
	time_t seconds = ms / 1000;
	struct tm tm = { 0 };
	size_t n;

	gmtime_r(&seconds, &tm);
	n = strftime(out, TIMESTAMP_SIZE, "%Y-%m-%dT%H:%M:%S", &tm);
	snprintf(out + n, TIMESTAMP_SIZE - n, ".%03d0000Z", (int)(ms % 1000));
}
