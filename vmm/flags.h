/* What hearth-vmm and hearth-netd make of the values of flags that both have. Errors name the flag, for who typed it. */
#ifndef HEARTH_VMM_FLAGS_H
#define HEARTH_VMM_FLAGS_H

#include "common/error.h"
#include "vmm/jail.h"

/* All return 0, or negative with *err set. */

/* The number that all of `text` is, from `min` to `max`, which an int holds. `flag` is the flag's name without its dashes. */
int flag_number(int *number, const char *text, long min, long max, const char *flag, struct error *err);

/* Those of the jail; the cgroup's keeps `text`. */
int flag_jail_mode(struct jail *jail, const char *text, struct error *err);
int flag_jail_user(struct jail *jail, const char *text, struct error *err);
int flag_jail_cgroup(struct jail *jail, const char *text, struct error *err);

#endif
