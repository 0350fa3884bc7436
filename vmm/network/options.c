#include "vmm/network/options.h"

#include "vmm/flags.h"

#include <errno.h>
#include <getopt.h>
#include <limits.h>
#include <string.h>
#include <unistd.h>

const char netd_options_help[] =
	"usage: hearth-netd --vmm FD --log FD --policy FILE [flags]\n"
	"       hearth-netd --version | --help\n"
	"\n"
	"Stands between one microVM and the network: passes on what its policy allows, by TCP (through\n"
	"passt, which it starts), UDP and DNS, and logs each connection. hearthd starts it.\n"
	"\n"
	"  --vmm FD           inherited socket (SOCK_SEQPACKET): one Ethernet frame a message\n"
	"  --log FD           inherited: one JSON object a line for each connection\n"
	"  --policy FILE      who may be reached (docs/network.md)\n"
	"  --id NAME          name in log lines\n"
	"  --passt FILE       default: passt beside this program\n"
	"  --resolver ADDRESS whom to ask for names; up to 3 times (default: those of /etc/resolv.conf)\n"
	"  --jail full|partial|off\n"
	"                     full: end if the machine does not allow a part of the jail; partial (default):\n"
	"                     go on without it and say so; off: no jail, for tests\n"
	"  --jail-user ID     user and group to become, 1 to 2147483646 (default for root: 65534)\n"
	"  --jail-cgroup FILE cgroup.procs of a cgroup to enter, with passt; up to 8 times\n"
	"\n"
	"Exit status: 0 the VMM has ended, 1 the host lacks something, 2 usage, 3 passt has ended, 16 a\n"
	"system call that the jail forbids.\n";

enum flag { VMM = 1, LOG, POLICY, ID, PASST, RESOLVER, JAIL, JAIL_USER, JAIL_CGROUP, VERSION, HELP };

static const struct option flags[] = {
	{ "vmm", required_argument, NULL, VMM },
	{ "log", required_argument, NULL, LOG },
	{ "policy", required_argument, NULL, POLICY },
	{ "id", required_argument, NULL, ID },
	{ "passt", required_argument, NULL, PASST },
	{ "resolver", required_argument, NULL, RESOLVER },
	{ "jail", required_argument, NULL, JAIL },
	{ "jail-user", required_argument, NULL, JAIL_USER },
	{ "jail-cgroup", required_argument, NULL, JAIL_CGROUP },
	{ "version", no_argument, NULL, VERSION },
	{ "help", no_argument, NULL, HELP },
	{ NULL, 0, NULL, 0 },
};

static int parse_flag(struct netd_options *options, int flag, char *value, struct error *err)
{
	switch (flag) {
	case VMM:
		return flag_number(&options->vmm_fd, value, 3, INT_MAX, "vmm", err);
	case LOG:
		return flag_number(&options->log_fd, value, 1, INT_MAX, "log", err);
	case POLICY:
		options->policy = value;
		return 0;
	case ID:
		options->id = value;
		return 0;
	case PASST:
		options->passt = value;
		return 0;
	case RESOLVER:
		if (options->n_resolvers == NETD_RESOLVERS_MAX)
			return error_set(err, EINVAL, "--resolver: at most %d", NETD_RESOLVERS_MAX);
		options->resolvers[options->n_resolvers++] = value;
		return 0;
	case JAIL:
		return flag_jail_mode(&options->jail, value, err);
	case JAIL_USER:
		return flag_jail_user(&options->jail, value, err);
	case JAIL_CGROUP:
		return flag_jail_cgroup(&options->jail, value, err);
	case VERSION:
		options->command = NETD_VERSION;
		return 0;
	case HELP:
		options->command = NETD_HELP;
		return 0;
	default:
		return error_set(err, EINVAL, "unknown flag or missing value");
	}
}

/* Not Debian 12's: that sends wrong bytes where both sides of a connection send (docs/network.md). */
static const char *find_passt(void)
{
	static char path[PATH_MAX];
	const ssize_t size = readlink("/proc/self/exe", path, sizeof(path) - sizeof("passt"));
	char *name;

	path[size > 0 ? size : 0] = '\0';
	name = strrchr(path, '/');
	memcpy(name ? name + 1 : path, "passt", sizeof("passt"));
	return path;
}

int netd_options_parse(struct netd_options *options, int argc, char **argv, struct error *err)
{
	int flag, status = 0;

	*options = (struct netd_options) {
		.vmm_fd = -1, .log_fd = -1, .id = "vm", .passt = find_passt(), .jail.user = -1
	};
	opterr = 0;
	while (status == 0 && (flag = getopt_long(argc, argv, "", flags, NULL)) != -1) {
		status = parse_flag(options, flag, optarg, err);
		if (status < 0 && flag == '?')
			status = error_set(err, EINVAL, "%s: unknown flag or missing value", argv[optind - 1]);
	}
	if (status < 0 || options->command != NETD_RUN)
		return status;
	if (optind < argc)
		return error_set(err, EINVAL, "%s: not a flag", argv[optind]);
	if (options->vmm_fd < 0 || options->log_fd < 0 || !options->policy)
		return error_set(err, EINVAL, "--vmm FD, --log FD and --policy FILE are needed");
	return 0;
}
