/* The value of --since: how long ago, or when. */
#ifndef HEARTH_API_CLI_SINCE_H
#define HEARTH_API_CLI_SINCE_H

#include "common/error.h"

#include <stdint.h>

enum {
	SINCE_SIZE = 32, /* with its NUL */
};

/*
 * Takes 30s, 15m, 1h, 2d, 1w, or a day or a second of UTC (2026-01-31, 2026-01-31T09:30:00Z). *ms is milliseconds since
 * 1970. 0, or negative with *err set (STATUS_USAGE).
 */
int since_parse(const char *text, int64_t now_ms, int64_t *ms, struct error *err);

/* As 2026-01-31T09:30:00, which sorts before all that the log writes of that second. */
void since_format(char out[SINCE_SIZE], int64_t ms);

#endif
