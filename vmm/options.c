#include "vmm/options.h"

#include "vmm/flags.h"

#include <errno.h>
#include <getopt.h>
#include <string.h>

enum { MEMORY_DEFAULT_MIB = 512 };

const char options_help[] =
	"usage: hearth-vmm --kernel FILE [flags]\n"
	"       hearth-vmm --restore STATE --memory-file FILE... [flags]\n"
	"       hearth-vmm --probe | --probe-jail | --version | --help\n"
	"\n"
	"Runs one microVM with KVM: boots a kernel, or goes on from a snapshot.\n"
	"\n"
	"  --kernel FILE      uncompressed kernel (ELF vmlinux) for x86-64\n"
	"  --cmdline STRING   appended to the platform's own kernel command line\n"
	"  --memory MIB       guest memory, 128 to 16384 (default 512)\n"
	"  --vcpus N          1 to 16 (default 1)\n"
	"  --disk FILE[,ro]   raw disk, in the order of vda, vdb, ...; up to 8 times\n"
	"  --vsock PATH       Unix socket for connections to the guest (CONNECT <port>); what the\n"
	"                     guest connects to at host port P goes to the socket PATH_P\n"
	"  --net FD           inherited SOCK_SEQPACKET socket, an Ethernet frame a message: a network device\n"
	"                     (without it there is none)\n"
	"  --console FILE|-   where console text goes, at most 1 MiB; - is stdout\n"
	"  --restore STATE    the state file of a snapshot; memory, vCPUs and kernel are its own, disks,\n"
	"                     vsock and net must be given as they were. The VM is paused until VMM_RESUME\n"
	"  --memory-file FILE a memory file of that snapshot, base first; up to 8 times\n"
	"  --working-set FILE pages of that snapshot to have ready before they are needed\n"
	"  --record-working-set FILE\n"
	"                     run slowly, and write such a file in the end\n"
	"  --control FD       inherited listening SOCK_SEQPACKET socket: wait there for orders (without\n"
	"                     it the VM runs at once)\n"
	"  --orphan-timeout SECONDS\n"
	"                     how long to live while nobody is connected there, 1 to 86400 (default 60)\n"
	"  --id NAME          name in log lines\n"
	"  --jail full|partial|off\n"
	"                     full: end if the machine does not allow a part of the jail; partial (default):\n"
	"                     go on without it and say so; off: no jail, never for code that nobody trusts\n"
	"  --jail-user ID     user and group to become, 1 to 2147483646 (default for root: 65534)\n"
	"  --jail-cgroup FILE cgroup.procs of a cgroup to enter; up to 8 times\n"
	"  --probe-jail       what of the jail does this machine not allow? Exits with 1 if anything\n"
	"  --probe            can this machine's KVM run a guest? Says why not, and exits with 1\n"
	"\n"
	"Exit status: 0 stopped, 1 the host lacks something, 2 usage, 10 guest reset, 11 guest kernel\n"
	"panic, 12 triple fault, 13 KVM error, 14 a driver broke its device, 15 nobody gives orders any more,\n"
	"16 a system call that the jail forbids.\n";

enum flag {
	CONTROL = 1,
	ORPHAN_TIMEOUT,
	ID,
	RESTORE,
	MEMORY_FILE,
	WORKING_SET,
	RECORD_WORKING_SET,
	KERNEL,
	CMDLINE,
	MEMORY,
	VCPUS,
	DISK,
	VSOCK,
	NET,
	CONSOLE,
	PROBE,
	JAIL,
	JAIL_USER,
	JAIL_CGROUP,
	PROBE_JAIL,
	VERSION,
	HELP
};

static const struct option flags[] = {
	{ "control", required_argument, NULL, CONTROL },
	{ "orphan-timeout", required_argument, NULL, ORPHAN_TIMEOUT },
	{ "id", required_argument, NULL, ID },
	{ "restore", required_argument, NULL, RESTORE },
	{ "memory-file", required_argument, NULL, MEMORY_FILE },
	{ "working-set", required_argument, NULL, WORKING_SET },
	{ "record-working-set", required_argument, NULL, RECORD_WORKING_SET },
	{ "kernel", required_argument, NULL, KERNEL },
	{ "cmdline", required_argument, NULL, CMDLINE },
	{ "memory", required_argument, NULL, MEMORY },
	{ "vcpus", required_argument, NULL, VCPUS },
	{ "disk", required_argument, NULL, DISK },
	{ "vsock", required_argument, NULL, VSOCK },
	{ "net", required_argument, NULL, NET },
	{ "console", required_argument, NULL, CONSOLE },
	{ "jail", required_argument, NULL, JAIL },
	{ "jail-user", required_argument, NULL, JAIL_USER },
	{ "jail-cgroup", required_argument, NULL, JAIL_CGROUP },
	{ "probe-jail", no_argument, NULL, PROBE_JAIL },
	{ "probe", no_argument, NULL, PROBE },
	{ "version", no_argument, NULL, VERSION },
	{ "help", no_argument, NULL, HELP },
	{ NULL, 0, NULL, 0 },
};

static int size_flag(uint32_t *size, const char *text, long min, long max, const char *flag, struct error *err)
{
	int number, status = flag_number(&number, text, min, max, flag, err);

	if (status == 0)
		*size = (uint32_t)number;
	return status;
}

static int add_disk(struct vm_config *vm, char *text, struct error *err)
{
	struct vm_disk *disk = &vm->disks[vm->n_disks];
	char *comma = strrchr(text, ',');

	if (vm->n_disks == MACHINE_DISKS_MAX)
		return error_set(err, EINVAL, "--disk: at most %d disks", MACHINE_DISKS_MAX);
	disk->path = text;
	if (comma && strcmp(comma, ",ro") == 0) {
		*comma = '\0';
		disk->is_read_only = true;
	}
	if (!*text)
		return error_set(err, EINVAL, "--disk: a file is needed");
	vm->n_disks++;
	return 0;
}

static int add_memory_file(struct vm_config *vm, const char *file, struct error *err)
{
	if (vm->n_memory_files == MEMORY_CHAIN_MAX)
		return error_set(err, EINVAL, "--memory-file: at most %d files", MEMORY_CHAIN_MAX);
	vm->memory_files[vm->n_memory_files++] = file;
	return 0;
}

static int parse_flag(struct options *options, int flag, char *value, struct error *err)
{
	struct vm_config *vm = &options->vm;

	switch (flag) {
	case CONTROL:
		return flag_number(&options->control_fd, value, 0, 1 << 20, "control", err);
	case ORPHAN_TIMEOUT:
		return flag_number(&options->orphan_timeout_s, value, 1, 86400, "orphan-timeout", err);
	case ID:
		options->id = value;
		return 0;
	case RESTORE:
		vm->restore = value;
		return 0;
	case MEMORY_FILE:
		return add_memory_file(vm, value, err);
	case WORKING_SET:
		vm->working_set = value;
		return 0;
	case RECORD_WORKING_SET:
		vm->record_working_set = value;
		return 0;
	case KERNEL:
		vm->kernel = value;
		return 0;
	case CMDLINE:
		vm->cmdline = value;
		return 0;
	case MEMORY:
		return size_flag(&vm->memory_mib, value, MACHINE_MEMORY_MIN_MIB, MACHINE_MEMORY_MAX_MIB, "memory", err);
	case VCPUS:
		return size_flag(&vm->n_vcpus, value, 1, MACHINE_VCPUS_MAX, "vcpus", err);
	case DISK:
		return add_disk(vm, value, err);
	case VSOCK:
		vm->vsock_path = value;
		return 0;
	case NET:
		return flag_number(&vm->net_fd, value, 0, 1 << 20, "net", err);
	case CONSOLE:
		vm->console_path = value;
		return 0;
	case JAIL:
		return flag_jail_mode(&options->jail, value, err);
	case JAIL_USER:
		return flag_jail_user(&options->jail, value, err);
	case JAIL_CGROUP:
		return flag_jail_cgroup(&options->jail, value, err);
	case PROBE_JAIL:
		options->command = OPTIONS_PROBE_JAIL;
		return 0;
	case PROBE:
		options->command = OPTIONS_PROBE;
		return 0;
	case VERSION:
		options->command = OPTIONS_VERSION;
		return 0;
	case HELP:
		options->command = OPTIONS_HELP;
		return 0;
	default:
		return error_set(err, EINVAL, "unknown flag or missing value");
	}
}

/* A machine is either described or restored. */
static int check_machine(struct vm_config *vm, struct error *err)
{
	if (!vm->restore && (vm->n_memory_files || vm->working_set || vm->record_working_set))
		return error_set(err, EINVAL, "--memory-file and working sets go with --restore");
	if (vm->working_set && vm->record_working_set)
		return error_set(err, EINVAL, "a working set is either used or recorded");
	if (!vm->restore && !vm->kernel)
		return error_set(err, EINVAL, "--kernel FILE is needed, or --restore STATE");
	if (vm->restore && (vm->kernel || vm->cmdline || vm->memory_mib || vm->n_vcpus))
		return error_set(err, EINVAL,
				 "--restore: kernel, command line, memory and vCPUs are the snapshot's own");
	if (vm->restore && !vm->n_memory_files)
		return error_set(err, EINVAL, "--restore: its --memory-file FILE is needed");
	vm->cmdline = vm->cmdline ? vm->cmdline : "";
	vm->memory_mib = vm->memory_mib ? vm->memory_mib : MEMORY_DEFAULT_MIB;
	vm->n_vcpus = vm->n_vcpus ? vm->n_vcpus : 1;
	return 0;
}

int options_parse(struct options *options, int argc, char **argv, struct error *err)
{
	int flag, status = 0;

	*options = (struct options) {
		.control_fd = -1, .orphan_timeout_s = 60, .id = "vm", .jail.user = -1, .vm.net_fd = -1
	};
	opterr = 0;
	optind = 1;
	while (status == 0 && (flag = getopt_long(argc, argv, "", flags, NULL)) != -1) {
		status = parse_flag(options, flag, optarg, err);
		if (status < 0 && flag == '?')
			status = error_set(err, EINVAL, "%s: unknown flag or missing value", argv[optind - 1]);
	}
	if (status < 0)
		return status;
	if (optind < argc)
		return error_set(err, EINVAL, "%s: not a flag", argv[optind]);
	return options->command == OPTIONS_RUN ? check_machine(&options->vm, err) : 0;
}
