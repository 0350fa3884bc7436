/*
 * The inside of struct vm, for the three files that make up a VM: vm.c (its life), vm_assembly.c (how it is put
 * together) and vm_snapshot.c (how it is saved and restored).
 */
#ifndef HEARTH_VMM_VM_PARTS_H
#define HEARTH_VMM_VM_PARTS_H

#include "vmm/bus.h"
#include "vmm/console.h"
#include "vmm/guest_memory.h"
#include "vmm/kvm.h"
#include "vmm/serial.h"
#include "vmm/snapshot/working_set.h"
#include "vmm/vcpu.h"
#include "vmm/virtio/mmio.h"
#include "vmm/vm.h"

/* A virtio device with its transport's descriptors. */
struct vm_virtio {
	struct virtio_mmio mmio;
	struct event_source kick;
	int interrupt_fd;
};

struct vm {
	const struct vm_config *config;
	uint32_t memory_mib, n_vcpus; /* the config's, or a snapshot's */
	struct memory_chain chain;    /* the files below the memory; empty if the VM was booted */
	unsigned n_resumes;
	int prefetcher; /* the vCPU that keeps prefetched page tables alive; -1: there is none */
	struct working_set working_set;
	struct working_set_recorder recorder;
	struct guest_memory memory;
	struct kvm kvm;
	struct vcpus vcpus;
	struct bus mmio, ports;

	struct console console;
	struct serial serial;
	int serial_interrupt_fd;
	void *vmgenid; /* a page of its own, shown to the guest outside of RAM */
	int vmgenid_interrupt_fd;
	struct vm_virtio virtio[MACHINE_VIRTIO_MAX];
	unsigned n_virtio;
	struct virtio_device *vsock; /* NULL: there is none; owned by its transport */

	struct event_loop *loop;         /* the process's: orders, signals, console, the end */
	struct event_loop devices;       /* devices, and `loop` as one more source; run while the VM is not paused */
	struct event_source loop_source; /* ready: `loop` has events */
	bool loop_is_ready;
	bool is_booted, is_running;

	struct event_source ended;  /* eventfd: wakes the loop */
	pthread_mutex_t ended_lock; /* guards what is below */
	bool has_ended;
	enum vmm_exit status;
	char why[400];
};

/*
 * Makes all parts, up to vCPUs without threads; with `snapshot`, the memory is that of the config's memory files and all
 * state is taken from it. Negative with *err set; what was made is for vm_destroy().
 */
int vm_assemble(struct vm *vm, struct state_reader *snapshot, struct error *err);

/* Sets the VM's size from a snapshot's description, and checks that the devices given are those that it had. */
int vm_read_machine(struct vm *vm, struct state_reader *snapshot, struct memory_chain *chain, struct error *err);

/* Fills the fresh memory from the snapshot's files, and reads the working set or prepares to record it. */
int vm_map_memory(struct vm *vm, struct error *err);

/*
 * To be called before each resume. The first is for the clone to take its identity, after which it may wait for long, and
 * small; with the second it is handed over, and what it will write next is copied.
 */
void vm_hand_over(struct vm *vm);

/* Writes the recorded working set, if one was asked for. */
void vm_end_recording(struct vm *vm);

/* Gives the assembled parts the state of the snapshot. */
int vm_restore_state(struct vm *vm, struct state_reader *snapshot, struct error *err);

#endif
