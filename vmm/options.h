/* hearth-vmm's flags. */
#ifndef HEARTH_VMM_OPTIONS_H
#define HEARTH_VMM_OPTIONS_H

#include "common/error.h"
#include "vmm/jail.h"
#include "vmm/vm.h"

enum options_command { OPTIONS_RUN, OPTIONS_PROBE, OPTIONS_PROBE_JAIL, OPTIONS_VERSION, OPTIONS_HELP };

struct options {
	enum options_command command;
	int control_fd; /* -1: none, boot at once */
	int orphan_timeout_s;
	const char *id;
	struct jail jail;
	struct vm_config vm;
};

extern const char options_help[];

/*
 * Fills *options from the command line, whose strings it keeps and, to cut ",ro" off a disk's name, changes. Negative
 * with *err set if the flags make no sense.
 */
int options_parse(struct options *options, int argc, char **argv, struct error *err);

#endif
