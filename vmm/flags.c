#include "vmm/flags.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

int flag_number(int *number, const char *text, long min, long max, const char *flag, struct error *err)
{
	char *end;
	long value;

	errno = 0;
	value = strtol(text, &end, 10);
	if (errno || end == text || *end || value < min || value > max)
		return error_set(err, EINVAL, "--%s %s: a number from %ld to %ld is needed", flag, text, min, max);
	*number = (int)value;
	return 0;
}

int flag_jail_mode(struct jail *jail, const char *text, struct error *err)
{
	static const char *const names[] = { [JAIL_PARTIAL] = "partial", [JAIL_FULL] = "full", [JAIL_OFF] = "off" };

	for (unsigned mode = 0; mode < sizeof(names) / sizeof(names[0]); mode++) {
		if (strcmp(text, names[mode]) == 0) {
			jail->mode = (enum jail_mode)mode;
			return 0;
		}
	}
	return error_set(err, EINVAL, "--jail %s: full, partial or off is needed", text);
}

int flag_jail_user(struct jail *jail, const char *text, struct error *err)
{
	return flag_number(&jail->user, text, 1, INT_MAX - 1, "jail-user", err);
}

int flag_jail_cgroup(struct jail *jail, const char *text, struct error *err)
{
	if (jail->n_cgroups == JAIL_CGROUPS_MAX)
		return error_set(err, EINVAL, "--jail-cgroup: at most %d cgroups", JAIL_CGROUPS_MAX);
	jail->cgroups[jail->n_cgroups++] = text;
	return 0;
}
