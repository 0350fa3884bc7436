/*
 * One microVM: assembled from its parts, started, paused, resumed, ended. Everything that can be done before the order
 * to boot is done in vm_prepare(), so that a prepared VM can wait for it.
 */
#ifndef HEARTH_VMM_VM_H
#define HEARTH_VMM_VM_H

#include "common/error.h"
#include "common/vmm_protocol.h"
#include "vmm/event_loop.h"
#include "vmm/machine.h"
#include "vmm/snapshot/memory_file.h"

#include <stdbool.h>
#include <stdint.h>

struct vm;

struct vm_disk {
	const char *path;
	bool is_read_only;
};

/* The strings must outlive the VM. */
struct vm_config {
	const char *kernel;
	const char *cmdline; /* appended to the platform's part; not NULL */
	uint32_t memory_mib;
	uint32_t n_vcpus;
	struct vm_disk disks[MACHINE_DISKS_MAX];
	uint32_t n_disks;
	const char *vsock_path;   /* NULL: no vsock device */
	const char *vsock_inside; /* vsock_path as the process sees it once it is jailed */
	int net_fd;               /* the network's end of a socket, taken over; -1: no network device */
	const char *console_path; /* NULL: console text is dropped */

	/* Instead of kernel, cmdline, memory_mib and n_vcpus: a snapshot's state file, and its memory files, base first. */
	const char *restore; /* NULL: boot */
	const char *memory_files[MEMORY_CHAIN_MAX];
	uint32_t n_memory_files;
	const char *working_set;        /* what to prefetch; NULL: nothing */
	const char *record_working_set; /* where to write what was touched; NULL: it is not recorded */
};

/* What a VM is and has cost so far. */
struct vm_counts {
	uint32_t memory_mib, n_vcpus;
	bool is_booted, is_running;
	unsigned n_connections; /* vsock streams */
	uint64_t n_kvm_calls;   /* ioctls, without KVM_RUN */
	uint64_t n_exits;       /* of all vCPUs, as KVM counts them; 0 while they run */
	uint64_t n_faults;      /* page faults of the process */
};

/*
 * Makes the VM: memory, kernel, devices, vCPUs with parked threads. One that is restored is as if vm_boot() and
 * vm_pause() had been called. `loop`, which must outlive it, has the sources that
 * count while the VM is paused too. NULL with *err set if the host cannot provide something.
 */
struct vm *vm_prepare(const struct vm_config *config, struct event_loop *loop, struct error *err);

/* Waits for events and handles them, once: those of `loop`, and of the VM's devices unless it is paused. 0 or -errno. */
int vm_run_once(struct vm *vm);

/* Runs the vCPUs for the first time. -EALREADY if that was done before. */
int vm_boot(struct vm *vm, struct error *err);

/* No vCPU runs and no device works when vm_pause() returns. Both do nothing if it is so already. */
int vm_pause(struct vm *vm, struct error *err);
int vm_resume(struct vm *vm, struct error *err);

/*
 * Writes a snapshot of the paused VM into two empty files (snapshot/state_file.h, snapshot/memory_file.h), synced. The
 * VM can be resumed after it. Takes as long as writing the memory takes.
 */
int vm_snapshot(struct vm *vm, int state_fd, int memory_fd, struct error *err);

/* Bytes of the host's address space that the VM's memory takes. */
uint64_t vm_memory_mapped(const struct vm *vm);

void vm_count(struct vm *vm, struct vm_counts *counts);

/*
 * Ends the VM's life: the first reason given counts. Any thread; the loop's vm_has_ended() then tells. vCPUs may still
 * run until vm_destroy().
 */
void vm_end(struct vm *vm, enum vmm_exit status, const char *why);

/* True once the VM has ended, with the reason (a sentence of the caller's, `size` bytes). */
bool vm_has_ended(struct vm *vm, enum vmm_exit *status, char *why, size_t size);

/* Stops everything, writes the last of the console. NULL is fine. */
void vm_destroy(struct vm *vm);

#endif
