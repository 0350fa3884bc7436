/* How hearth-vmm is started: the directory, the flags, and for a boot the agent's first word. */
#include "api/container_spec.h"
#include "api/microvm_private.h"
#include "api/vmm_cgroups.h"
#include "common/cleanup.h"
#include "common/log.h"

#include <errno.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
	/* id, control, orphan timeout, disk, vsock, console; kernel, cmdline, memory, vcpus; or state and layers */
	ARGUMENTS_MAX = 100,
	VMM_MEMORY_MIB =
		256, /* beside the guest's: buffers of its streams, a snapshot's list of pages, the page cache */
	NETWORK_MEMORY_MIB = 64, /* hearth-netd and passt */
	NETWORK_PROCESSES = 4,
	VMM_THREADS = 6, /* beside the vCPUs': devices, a recorder, and what KVM starts for it */
};

struct arguments {
	char *list[ARGUMENTS_MAX + 1];
	unsigned int n;
	char texts[SNAPSHOT_PATH_MAX * (SNAPSHOT_LAYERS_MAX + 4) + SNAPSHOT_DISKS_MAX * PATH_MAX +
		   VMM_CGROUPS_MAX * VMM_CGROUP_PATH_MAX + 8192]; /* what was made for this process */
	size_t n_text;
};

static void add(struct arguments *a, const char *argument)
{
	if (a->n < ARGUMENTS_MAX)
		a->list[a->n++] = (char *)argument;
}

static void add_made(struct arguments *a, const char *flag, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

static void add_made(struct arguments *a, const char *flag, const char *format, ...)
{
	char *text = a->texts + a->n_text;
	va_list values;
	int length;

	add(a, flag);
	va_start(values, format);
	length = vsnprintf(text, sizeof(a->texts) - a->n_text, format, values);
	va_end(values);
	a->n_text += (size_t)length + 1;
	if (a->n_text > sizeof(a->texts)) /* paths are bounded: cannot be */
		abort();
	add(a, text);
}

static void add_boot(struct arguments *a, const struct microvm *vm)
{
	add_made(a, "--kernel", "%s", vm->host->kernel);
	add_made(a, "--cmdline", "root=/dev/vda rootfstype=erofs ro init=/sbin/init %s%s", vm->host->kernel_arguments,
		 vm->container ? " HEARTH_CONTAINER=1" : "");
	add_made(a, "--memory", "%u", vm->shape.memory_mib);
	add_made(a, "--vcpus", "%u", vm->shape.n_vcpus);
}

static void add_restore(struct arguments *a, const struct snapshot *s, const char *working_set)
{
	char path[SNAPSHOT_PATH_MAX + 32];

	add_made(a, "--restore", "%s/state", s->folder);
	for (unsigned int i = 0; i < s->n_layers; i++) {
		snapshot_memory_path(s, i, path, sizeof(path));
		add_made(a, "--memory-file", "%s", path);
	}
	if (working_set)
		add_made(a, "--record-working-set", "%s", working_set);
	else if (s->has_working_set)
		add_made(a, "--working-set", "%s/working-set", s->folder);
}

static void add_disks(struct arguments *a, const struct microvm *vm)
{
	char path[SNAPSHOT_PATH_MAX + 32];

	add_made(a, "--disk", "%s,ro", vm->host->image);
	for (unsigned int i = 0; vm->snapshot && i < vm->snapshot->n_disks; i++) {
		snapshot_disk_path(vm->snapshot, i, path, sizeof(path));
		add_made(a, "--disk", "%s,ro", path);
	}
	for (unsigned int i = 0; vm->container && i < container_spec_n_disks(vm->container); i++)
		add_made(a, "--disk", "%s,ro", container_spec_disk(vm->container, i));
}

static int make_cgroups(const struct microvm *vm, struct vmm_cgroup_entrances *entrances, struct error *err)
{
	const struct vmm_cgroup_limits limits = {
		.memory_bytes = ((uint64_t)vm->shape.memory_mib + VMM_MEMORY_MIB +
				 (vm->shape.has_network ? NETWORK_MEMORY_MIB : 0))
				<< 20,
		.n_cpus = vm->shape.n_vcpus + 1, /* devices work in a thread of their own */
		.n_processes = vm->shape.n_vcpus + VMM_THREADS + (vm->shape.has_network ? NETWORK_PROCESSES : 0),
	};
	int rc;

	entrances->n = 0;
	if (!vm->host->cgroups || vm->host->jail == MICROVM_JAIL_OFF)
		return 0;
	rc = vmm_cgroups_make(vm->host->cgroups, vm->id, &limits, entrances);
	return rc < 0 ? error_set(err, -rc, "cannot make the cgroup of a microVM: %s", strerror(-rc)) : 0;
}

static const char *jail_mode(const struct microvm_host *host)
{
	static const char *const modes[] = {
		[MICROVM_JAIL_FULL] = "full", [MICROVM_JAIL_PARTIAL] = "partial", [MICROVM_JAIL_OFF] = "off"
	};

	return modes[host->jail];
}

/* The user of its own, 0 where there is none. */
static unsigned int jail_user(const struct microvm *vm)
{
	const struct microvm_host *host = vm->host;

	return host->jail == MICROVM_JAIL_OFF || !host->first_user
		       ? 0
		       : host->first_user + microvm_directory_number(vm->id);
}

static void add_jail(struct arguments *a, const struct microvm *vm, const struct vmm_cgroup_entrances *cgroups)
{
	unsigned int user = jail_user(vm);

	add_made(a, "--jail", "%s", jail_mode(vm->host));
	if (user)
		add_made(a, "--jail-user", "%u", user);
	for (unsigned int i = 0; i < cgroups->n; i++)
		add_made(a, "--jail-cgroup", "%s", cgroups->files[i]);
}

/*
 * The VMM's end of its network, which the caller closes; -1 for a machine without a network device. One that has a device
 * and may reach nobody (a template's, or one of a pool that had its network taken away) speaks to a deaf end.
 */
static int open_network(struct microvm *vm, const char *policy, const struct vmm_cgroup_entrances *cgroups, int *fd,
			struct error *err)
{
	const struct network_start start = {
		.netd = vm->host->netd,
		.directory = &vm->directory,
		.id = vm->id,
		.policy = policy,
		.jail = jail_mode(vm->host),
		.user = jail_user(vm),
		.cgroups = cgroups,
	};
	int ends[2], rc;

	*fd = -1;
	if (!vm->shape.has_network) {
		if (policy)
			log_warn("vm=%s has no network: what it was made from has no network device", vm->id);
		return 0;
	}
	if (policy) {
		vm->network = network_spawn(vm->host->loop, &start, fd, err);
		return vm->network ? 0 : -err->code;
	}
	rc = network_make_socket(ends);
	if (rc < 0)
		return error_set(err, -rc, "cannot make the socket of a network: %s", strerror(-rc));
	*fd = ends[0];
	vm->deaf_fd = ends[1];
	return 0;
}

static void on_agent_ready(void *owner, const struct agent_ready *ready, const char *problem)
{
	struct microvm *vm = owner;

	vm->ready_listener = NULL;
	if (!ready) {
		microvm_lose(vm, problem);
		return;
	}
	vm->timing.kernel_us = ready->began_us;
	vm->timing.agent_us = ready->listens_us - ready->began_us;
	microvm_connect_agent(vm);
}

static int listen_for_agent(struct microvm *vm, struct error *err)
{
	char path[MICROVM_SOCKET_SIZE];
	int rc;

	microvm_directory_host_port(&vm->directory, AGENT_READY_PORT, path);
	vm->ready_listener = ready_listener_open(vm->host->loop, path, on_agent_ready, vm, &rc);
	return vm->ready_listener ? 0 : error_set(err, -rc, "cannot listen on %s: %s", path, strerror(-rc));
}

int microvm_listen_for_tokens(struct microvm *vm, struct token_source *tokens, struct error *err)
{
	char path[MICROVM_SOCKET_SIZE];
	int rc;

	microvm_directory_host_port(&vm->directory, AGENT_TOKEN_PORT, path);
	vm->token_listener = token_listener_open(vm->host->loop, path, tokens, &rc);
	return vm->token_listener ? 0 : error_set(err, -rc, "cannot listen on %s: %s", path, strerror(-rc));
}

int microvm_spawn(struct microvm *vm, const struct microvm_start *start, struct error *err)
{
	const struct microvm_host *host = vm->host;
	struct arguments a = { 0 };
	struct vmm_cgroup_entrances cgroups = { 0 };
	AUTO_FD int net_fd = -1;
	int rc = microvm_directory_create(&vm->directory, host->runtime_directory, vm->id, err);

	if (rc == 0 && !vm->snapshot)
		rc = listen_for_agent(vm, err);
	if (rc == 0 && start->tokens)
		rc = microvm_listen_for_tokens(vm, start->tokens, err);
	if (rc == 0)
		rc = make_cgroups(vm, &cgroups, err);
	if (rc == 0)
		rc = open_network(vm, start->network, &cgroups, &net_fd, err);
	if (rc < 0)
		return rc;
	add(&a, host->vmm);
	add_made(&a, "--id", "%s", vm->id);
	add_made(&a, "--control", "%d", VMM_CONTROL_FD);
	add_made(&a, "--orphan-timeout", "%u", host->orphan_timeout_s);
	add_jail(&a, vm, &cgroups);
	if (vm->snapshot)
		add_restore(&a, vm->snapshot, start->working_set);
	else
		add_boot(&a, vm);
	add_disks(&a, vm);
	add_made(&a, "--vsock", "%s", vm->directory.vsock);
	add_made(&a, "--console", "%s", vm->directory.console);
	if (net_fd >= 0)
		add_made(&a, "--net", "%d", VMM_NET_FD);
	vm->vmm = vmm_client_spawn(host->loop, vm->directory.control, a.list, net_fd, host->jail != MICROVM_JAIL_OFF,
				   &microvm_vmm_events, vm, err);
	if (!vm->vmm)
		return -err->code;
	rc = pid_file_write(vm->directory.pid, vmm_client_pid(vm->vmm));
	if (rc < 0)
		log_warn("vm=%s cannot be taken over later: cannot write %s: %s", vm->id, vm->directory.pid,
			 strerror(-rc));
	return 0;
}
