#include "vmm/vm_parts.h"

#include "vmm/arch.h"
#include "vmm/kvm_stats.h"
#include "vmm/virtio/vsock.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

/* ---- the end ----------------------------------------------------------------------------------------------------- */

void vm_end(struct vm *vm, enum vmm_exit status, const char *why)
{
	pthread_mutex_lock(&vm->ended_lock);
	if (!vm->has_ended) {
		vm->has_ended = true;
		vm->status = status;
		snprintf(vm->why, sizeof(vm->why), "%s", why);
	}
	pthread_mutex_unlock(&vm->ended_lock);
	eventfd_signal(vm->ended.fd);
}

bool vm_has_ended(struct vm *vm, enum vmm_exit *status, char *why, size_t size)
{
	bool has_ended;

	pthread_mutex_lock(&vm->ended_lock);
	has_ended = vm->has_ended;
	if (has_ended) {
		*status = vm->status;
		snprintf(why, size, "%s", vm->why);
	}
	pthread_mutex_unlock(&vm->ended_lock);
	return has_ended;
}

/* ---- life -------------------------------------------------------------------------------------------------------- */

static int read_snapshot(struct vm *vm, struct error *err)
{
	struct state_reader *snapshot = calloc(1, sizeof(*snapshot));
	int status;

	if (!snapshot)
		return error_set(err, ENOMEM, "out of memory");
	status = state_reader_open(snapshot, vm->config->restore, err);
	if (status == 0 && vm_assemble(vm, snapshot, err) < 0)
		status = error_wrap(err, "snapshot %s", vm->config->restore);
	state_reader_fini(snapshot);
	free(snapshot);
	return status;
}

struct vm *vm_prepare(const struct vm_config *config, struct event_loop *loop, struct error *err)
{
	struct vm *vm = calloc(1, sizeof(*vm));

	if (!vm) {
		error_set(err, ENOMEM, "out of memory");
		return NULL;
	}
	vm->config = config;
	vm->loop = loop;
	vm->devices.fd = vm->kvm.fd = vm->kvm.vm_fd = -1;
	vm->serial_interrupt_fd = vm->vmgenid_interrupt_fd = -1;
	vm->memory_mib = config->memory_mib;
	vm->n_vcpus = config->n_vcpus;
	vm->ended.fd = vm->prefetcher = -1;
	pthread_mutex_init(&vm->ended_lock, NULL);
	if ((config->restore ? read_snapshot(vm, err) : vm_assemble(vm, NULL, err)) < 0) {
		vm_destroy(vm);
		return NULL;
	}
	return vm;
}

static void run(struct vm *vm)
{
	vcpus_resume(&vm->vcpus);
	vm->is_running = true;
}

int vm_boot(struct vm *vm, struct error *err)
{
	if (vm->is_booted)
		return error_set(err, EALREADY, "the VM was booted before");
	run(vm);
	vm->is_booted = true;
	return 0;
}

/* vCPUs first: then nothing new can come to the devices, and those work in this thread alone. */
int vm_pause(struct vm *vm, struct error *err)
{
	if (!vm->is_booted)
		return error_set(err, EINVAL, "the VM was not booted yet");
	if (vm->is_running) {
		vcpus_pause(&vm->vcpus);
		vm->is_running = false;
	}
	return 0;
}

int vm_resume(struct vm *vm, struct error *err)
{
	if (!vm->is_booted)
		return error_set(err, EINVAL, "the VM was not booted yet");
	if (!vm->is_running) {
		vm_hand_over(vm);
		arch_resumed(&vm->vcpus);
		run(vm);
	}
	return 0;
}

/*
 * Devices wait in one epoll call, because each costs on the way of every packet. An order may pause the VM, so `loop` has
 * its turn only after all devices of a pass had theirs.
 */
int vm_run_once(struct vm *vm)
{
	int status;

	if (!vm->is_running)
		return event_loop_run_once(vm->loop, -1);
	vm->loop_is_ready = false;
	status = event_loop_run_once(&vm->devices, -1);
	return status == 0 && vm->loop_is_ready ? event_loop_run_once(vm->loop, 0) : status;
}

uint64_t vm_memory_mapped(const struct vm *vm)
{
	return vm->memory.mapping_size + (vm->recorder.memory ? vm->recorder.source.mapping_size : 0);
}

void vm_count(struct vm *vm, struct vm_counts *counts)
{
	struct rusage usage;

	*counts = (struct vm_counts) {
		.memory_mib = vm->memory_mib,
		.n_vcpus = vm->n_vcpus,
		.is_running = vm->is_running,
		.is_booted = vm->is_booted,
		.n_connections = vm->vsock ? virtio_vsock_n_connections(vm->vsock) : 0,
		.n_kvm_calls = kvm_n_calls(),
	};
	/* KVM answers for a vCPU when it is not running it. */
	for (unsigned id = 0; id < vm->vcpus.n_vcpus && !vm->is_running; id++)
		counts->n_exits += kvm_stats_read(vm->vcpus.vcpus[id].fd, "exits");
	if (getrusage(RUSAGE_SELF, &usage) == 0)
		counts->n_faults = (uint64_t)(usage.ru_minflt + usage.ru_majflt);
}

static void close_fd(int fd)
{
	if (fd >= 0)
		close(fd);
}

void vm_destroy(struct vm *vm)
{
	if (!vm)
		return;
	if (vm->is_running)
		vcpus_pause(&vm->vcpus);
	vm_end_recording(vm);
	/* The vCPU threads stay parked, with all they point to, until the process ends. */
	for (unsigned i = 0; i < vm->n_virtio; i++) {
		virtio_mmio_fini(&vm->virtio[i].mmio);
		close_fd(vm->virtio[i].kick.fd);
		close_fd(vm->virtio[i].interrupt_fd);
	}
	console_close(&vm->console);
	close_fd(vm->serial_interrupt_fd);
	close_fd(vm->vmgenid_interrupt_fd);
	close_fd(vm->ended.fd);
	close_fd(vm->prefetcher);
	event_loop_close(&vm->devices);
	kvm_close(&vm->kvm);
}
