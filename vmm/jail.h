/*
 * The jail of a hearth-vmm, and of a hearth-netd: it assumes that the guest has taken this process, and leaves it nothing to
 * take next. The steps stand in jail.c, in their order; docs/security.md says what each is for.
 */
#ifndef HEARTH_VMM_JAIL_H
#define HEARTH_VMM_JAIL_H

#include "common/error.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
	JAIL_CGROUPS_MAX = 8, /* cgroup v1 has one a controller */
	JAIL_LACKS_SIZE = 256,
};

enum jail_mode {
	JAIL_PARTIAL, /* goes on without what the machine does not allow, and says so */
	JAIL_FULL,    /* ends if a step fails */
	JAIL_OFF,     /* for finding faults, never for code that nobody trusts */
};

struct jail {
	enum jail_mode mode;
	int user; /* user and group to become; -1: stay who we are, or nobody if we are root */
	const char *cgroups[JAIL_CGROUPS_MAX]; /* files (cgroup.procs, or tasks) that the process writes itself into */
	unsigned n_cgroups;
	unsigned n_descriptors;           /* that it may have */
	const char *sockets;              /* a path whose folder is what the jail shows; NULL: it shows nothing */
	bool keeps_network;               /* of who started it: hearth-netd alone, which is about it */
	int (*filter)(struct error *err); /* the last step: filters system calls */
};

/* Closes all descriptors but the standard ones and the `n_kept` of `kept` (-1: none). The first thing to be done. */
void jail_close_descriptors(const int *kept, unsigned n_kept);

/* The first step alone, for a child that is not to be jailed further. Negative with *err set. */
int jail_enter_cgroups(const struct jail *jail, struct error *err);

/*
 * Enters it: after this there are no files, no network, no other processes and no rights, and the process is filtered by
 * `filter`. Whatever it needs must be open. `lacks` gets the steps that the machine did not allow, with commas
 * between; empty if there are none. Negative with *err set if one failed that must not.
 */
int jail_enter(const struct jail *jail, char lacks[JAIL_LACKS_SIZE], struct error *err);

/* Limits of what it may map and how large a file may grow, when the VM's size is known: bytes. */
int jail_limit(const struct jail *jail, uint64_t address_space, uint64_t file_size, struct error *err);

/* The path of `jail->sockets` as it is seen from inside; that path itself if there is no jail. */
const char *jail_sockets_inside(const struct jail *jail);

#endif
