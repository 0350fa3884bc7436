#include "api/signal_name.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum {
	FIRST_OF_REAL_TIME = 34,
	SIGNAL_MAX = 64,
	NAMED_MAX = 31,
};

/* A number of one or two digits and nothing after it, or -1. */
static int read_number(const char *text)
{
	size_t digits = strspn(text, "0123456789");

	return digits > 0 && digits <= 2 && text[digits] == '\0' ? (int)strtol(text, NULL, 10) : -1;
}

/* What follows RTMIN or RTMAX: nothing, or how many after or before it. */
static int read_real_time(const char *text, char sign, int from)
{
	int distance = text[0] == '\0' ? 0 : text[0] == sign ? read_number(text + 1) : -1;
	int number = sign == '+' ? from + distance : from - distance;

	return distance >= 0 && number >= FIRST_OF_REAL_TIME && number <= SIGNAL_MAX ? number : 0;
}

int signal_from_name(const char *name)
{
	static const struct {
		const char *name;
		int number;
	} others[] = { { "IOT", SIGIOT }, { "CLD", SIGCHLD }, { "IO", SIGIO } };
	int number = read_number(name);

	if (number >= 0)
		return number <= SIGNAL_MAX ? number : 0;
	if (strncasecmp(name, "SIG", 3) == 0)
		name += 3;
	if (strncasecmp(name, "RTMIN", 5) == 0)
		return read_real_time(name + 5, '+', FIRST_OF_REAL_TIME);
	if (strncasecmp(name, "RTMAX", 5) == 0)
		return read_real_time(name + 5, '-', SIGNAL_MAX);
	for (number = 1; number <= NAMED_MAX; number++)
		if (sigabbrev_np(number) && strcasecmp(sigabbrev_np(number), name) == 0)
			return number;
	for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++)
		if (strcasecmp(others[i].name, name) == 0)
			return others[i].number;
	return 0;
}
