#include "since.h"
#include "exit_status.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum {
	AGO_MAX_S = INT32_MAX, /* 68 years */
};

/* Seconds of a unit's letter, or 0. */
static int64_t unit_of(const char *letter)
{
	static const struct {
		const char *letter;
		int64_t seconds;
	} units[] = { { "s", 1 }, { "m", 60 }, { "h", 3600 }, { "d", 86400 }, { "w", 604800 } };

	for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++)
		if (strcmp(units[i].letter, letter) == 0)
			return units[i].seconds;
	return 0;
}

static int parse_ago(const char *text, int64_t now_ms, int64_t *ms)
{
	char *end;
	long long n = strtoll(text, &end, 10);
	int64_t unit = unit_of(end);

	if (!isdigit((unsigned char)*text) || !unit || n > AGO_MAX_S / unit)
		return -1;
	*ms = now_ms - n * unit * 1000;
	return 0;
}

static int parse_point(const char *text, int64_t *ms)
{
	static const char *const forms[] = { "%Y-%m-%d", "%Y-%m-%dT%H:%M:%S", "%Y-%m-%dT%H:%M:%SZ" };

	for (size_t i = 0; i < sizeof(forms) / sizeof(forms[0]); i++) {
		struct tm tm = { 0 };
		const char *end = strptime(text, forms[i], &tm);

		if (end && !*end) {
			*ms = (int64_t)timegm(&tm) * 1000;
			return 0;
		}
	}
	return -1;
}

int since_parse(const char *text, int64_t now_ms, int64_t *ms, struct error *err)
{
	if (parse_ago(text, now_ms, ms) == 0 || parse_point(text, ms) == 0)
		return 0;
	return error_set(
		err, STATUS_USAGE,
		"--since takes 30s, 15m, 1h, 2d, 1w, or a time like 2026-01-31 or 2026-01-31T09:30:00Z, not '%s'",
		text);
}

void since_format(char out[SINCE_SIZE], int64_t ms)
{
	time_t seconds = ms / 1000;
	struct tm tm = { 0 };

	gmtime_r(&seconds, &tm);
	strftime(out, SINCE_SIZE, "%Y-%m-%dT%H:%M:%S", &tm);
}
