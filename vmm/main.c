/*
 * hearth-vmm: one microVM, one process. Start-up in the order in which it happens, then the event loop until the VM's
 * life ends; the only place that exits.
 */
#include "common/log.h"
#include "vmm/control.h"
#include "vmm/host_file.h"
#include "vmm/jail.h"
#include "vmm/options.h"
#include "vmm/probe.h"
#include "vmm/seccomp.h"
#include "vmm/vm.h"
#ifdef HEARTH_COMPROMISED
#include "tests/compromised/compromised.h"
#endif

#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
	/* A vsock device at its limit, and what the rest needs. */
	DESCRIPTORS = 1280,
	FIRST_DESCRIPTORS = 64, /* where those of files are */
	/* What is mapped beside the guest's memory: code, stacks, and the list of a snapshot's pages while it grows. */
	ADDRESS_SPACE_MIB = 256,
	/* What a snapshot's memory file has beside the memory, and a console log. */
	FILE_MIB = 64,
};

struct process {
	struct event_loop loop;
	struct event_source signals;
	struct control control;
	struct vm *vm;
};

static int use(const struct error *err)
{
	fprintf(stderr, "hearth-vmm: %s\nTry hearth-vmm --help.\n", err->text);
	return VMM_EXIT_USAGE;
}

static int probe(void)
{
	struct error err = { 0 };

	if (probe_kvm(&err) < 0) {
		printf("KVM can't run a guest here: %s\n", err.text);
		return VMM_EXIT_FAILURE;
	}
	puts("KVM can run guests");
	return VMM_EXIT_STOPPED;
}

static int probe_jail(struct jail *jail)
{
	char lacks[JAIL_LACKS_SIZE];
	struct error err = { 0 };

	jail->mode = JAIL_PARTIAL;
	jail->n_descriptors = DESCRIPTORS;
	jail->filter = seccomp_begin;
	if (jail_enter(jail, lacks, &err) < 0)
		snprintf(lacks, sizeof(lacks), "%.*s", JAIL_LACKS_SIZE - 1, err.text);
	if (*lacks)
		printf("the jail lacks something here: %s\n", lacks);
	else
		puts("the jail is complete");
	fflush(stdout);
	return *lacks ? VMM_EXIT_FAILURE : VMM_EXIT_STOPPED;
}

/*
 * Before there are threads: with them, growing the table of descriptors waits for a grace period of the host's kernel.
 */
static void grow_descriptor_table(void)
{
	struct rlimit limit;
	int fd;

	if (getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur < DESCRIPTORS) {
		limit.rlim_cur = limit.rlim_max < DESCRIPTORS ? limit.rlim_max : DESCRIPTORS;
		setrlimit(RLIMIT_NOFILE, &limit);
	}
	fd = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, DESCRIPTORS - 1);
	if (fd >= 0)
		close(fd);
}

static void signal_ready(void *opaque, uint32_t events)
{
	struct process *process = opaque;
	struct signalfd_siginfo info;

	(void)events;
	if (read(process->signals.fd, &info, sizeof(info)) == sizeof(info))
		vm_end(process->vm, VMM_EXIT_STOPPED, "stopped by a signal");
}

/* Blocked before threads are made, so that no vCPU's thread takes them. */
static int catch_signals(struct process *process, struct error *err)
{
	sigset_t signals;

	signal(SIGPIPE, SIG_IGN);
	sigemptyset(&signals);
	sigaddset(&signals, SIGTERM);
	sigaddset(&signals, SIGINT);
	sigaddset(&signals, SIGHUP);
	sigaddset(&signals, SIGRTMIN); /* the vCPUs' */
	pthread_sigmask(SIG_BLOCK, &signals, NULL);
	sigdelset(&signals, SIGRTMIN);
	process->signals = (struct event_source) { .ready = signal_ready, .opaque = process };
	process->signals.fd = signalfd(-1, &signals, SFD_NONBLOCK | SFD_CLOEXEC);
	if (process->signals.fd < 0)
		return error_set(err, errno, "cannot take signals: %s", strerror(errno));
	return 0;
}

static const struct control *reported_to;

static void report_violation(const char *sentence)
{
	control_report_violation(reported_to, sentence);
}

/* From here on nothing can be opened, and what is read next was written by others. */
static int enter_jail(struct options *options, struct error *err)
{
	char lacks[JAIL_LACKS_SIZE] = "";
	int status = host_files_open(&options->vm, err);

#ifdef HEARTH_COMPROMISED
	compromised_open(options->vm.vsock_path);
#endif

	options->jail.n_descriptors = DESCRIPTORS;
	options->jail.filter = seccomp_begin;
	options->jail.sockets = options->vm.vsock_path;
	if (status == 0)
		status = jail_enter(&options->jail, lacks, err);
	if (status < 0)
		return status;
	if (options->jail.mode == JAIL_OFF)
		log_warn("not jailed (--jail off)");
	else if (*lacks)
		log_info("the jail lacks something here: %s", lacks);
	options->vm.vsock_inside = jail_sockets_inside(&options->jail);
	return 0;
}

/* The VM stands, and its size is known. */
static int close_jail(const struct options *options, const struct vm *vm, struct error *err)
{
	const uint64_t memory = vm_memory_mapped(vm);
	uint64_t file_size = memory + FILE_MIB * MIB;
	struct stat file;

	/* A log that others write, too, may be larger already; so may a disk that is written. */
	for (int fd = 0; fd < FIRST_DESCRIPTORS; fd++)
		if (fstat(fd, &file) == 0 && S_ISREG(file.st_mode) && (fcntl(fd, F_GETFL) & O_ACCMODE) != O_RDONLY &&
		    (uint64_t)file.st_size + FILE_MIB * MIB > file_size)
			file_size = (uint64_t)file.st_size + FILE_MIB * MIB;
	if (jail_limit(&options->jail, memory + ADDRESS_SPACE_MIB * MIB, file_size, err) < 0)
		return -err->code;
	return seccomp_enter(SECCOMP_MAIN, err);
}

static int start(struct process *process, struct options *options, uint64_t start_us, struct error *err)
{
	int status = control_open(&process->control, options->control_fd, options->orphan_timeout_s, start_us, err);

	reported_to = &process->control;
	seccomp_on_violation(report_violation);
	if (status == 0)
		status = enter_jail(options, err);
	if (status == 0)
		status = catch_signals(process, err);
	if (status < 0)
		return status;
	status = event_loop_open(&process->loop);
	if (status < 0)
		return error_set(err, -status, "cannot make an epoll descriptor: %s", strerror(-status));
	process->vm = vm_prepare(&options->vm, &process->loop, err);
	if (!process->vm)
		return -err->code;
	malloc_trim(0); /* what reading a snapshot took: a clone that waits should be small */
	log_info("%s took_us=%llu", options->vm.restore ? "restored" : "prepared",
		 (unsigned long long)(control_clock_us() - start_us));
	status = event_loop_add(&process->loop, &process->signals, EPOLLIN);
	if (status == 0)
		status = control_start(&process->control, &process->loop, process->vm);
	if (status < 0)
		return error_set(err, -status, "cannot watch control and signals: %s", strerror(-status));
	status = close_jail(options, process->vm, err);
	if (status < 0)
		return status;
#ifdef HEARTH_COMPROMISED
	compromised_start(&process->loop);
#endif
	if (options->control_fd >= 0)
		return 0;
	return options->vm.restore ? vm_resume(process->vm, err) : vm_boot(process->vm, err);
}

static enum vmm_exit run_until_ended(struct process *process, char *why, size_t size)
{
	enum vmm_exit status;

	while (!vm_has_ended(process->vm, &status, why, size)) {
		int result = vm_run_once(process->vm);

		if (result < 0) {
			snprintf(why, size, "the event loop failed: %s", strerror(-result));
			return VMM_EXIT_FAILURE;
		}
	}
	return status;
}

static int run(struct options *options, uint64_t start_us)
{
	struct process process = { 0 };
	struct error err = { 0 };
	enum vmm_exit status = VMM_EXIT_FAILURE;
	char identity[64], why[512];

	snprintf(identity, sizeof(identity), "vmm/%s", options->id);
	log_identity(identity);
	jail_close_descriptors((const int[]) { options->control_fd, options->vm.net_fd }, 2);
	mallopt(M_ARENA_MAX, 1);
	grow_descriptor_table();
	if (start(&process, options, start_us, &err) < 0)
		snprintf(why, sizeof(why), "%s", err.text);
	else
		status = run_until_ended(&process, why, sizeof(why));

	vm_destroy(process.vm);
	if (status == VMM_EXIT_STOPPED)
		log_info("ended status=%d: %s", status, why);
	else
		log_error("ended status=%d: %s", status, why);
	control_ended(&process.control, status, why);
	return (int)status;
}

int main(int argc, char **argv)
{
	const uint64_t start_us = control_clock_us();
	struct options options;
	struct error err = { 0 };

	if (options_parse(&options, argc, argv, &err) < 0)
		return use(&err);
	switch (options.command) {
	case OPTIONS_HELP:
		fputs(options_help, stdout);
		return VMM_EXIT_STOPPED;
	case OPTIONS_VERSION:
		puts("hearth-vmm " HEARTH_VERSION);
		return VMM_EXIT_STOPPED;
	case OPTIONS_PROBE:
		return probe();
	case OPTIONS_PROBE_JAIL:
		return probe_jail(&options.jail);
	default:
		/* Not return: threads of vCPUs are parked in it, and atexit handlers are none of their business. */
		_exit(run(&options, start_us));
	}
}
