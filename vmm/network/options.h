/* The command line of hearth-netd; what the flags mean stands in common/network_protocol.h. */
#ifndef HEARTH_NETWORK_OPTIONS_H
#define HEARTH_NETWORK_OPTIONS_H

#include "common/error.h"
#include "vmm/jail.h"

enum { NETD_RESOLVERS_MAX = 3 };

enum netd_command { NETD_RUN, NETD_HELP, NETD_VERSION };

struct netd_options {
	enum netd_command command;
	int vmm_fd, log_fd;
	const char *policy, *id, *passt;
	const char *resolvers[NETD_RESOLVERS_MAX];
	unsigned n_resolvers;
	struct jail jail;
};

extern const char netd_options_help[];

/* The strings are argv's. Negative with *err set if the flags make no sense. */
int netd_options_parse(struct netd_options *options, int argc, char **argv, struct error *err);

#endif
