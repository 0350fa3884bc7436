/*
 * vCPU threads: KVM_RUN, what it comes back for, and bringing all vCPUs to a stop. A vCPU's thread is made parked; it
 * runs between vcpus_resume() and vcpus_pause().
 */
#ifndef HEARTH_VMM_VCPU_H
#define HEARTH_VMM_VCPU_H

#include "common/error.h"
#include "common/vmm_protocol.h"
#include "vmm/bus.h"
#include "vmm/kvm.h"
#include "vmm/machine.h"

#include <pthread.h>

struct kvm_run;
struct vcpus;

/* The guest, or KVM, ended the VM's life. Any vCPU's thread, which runs no more. */
typedef void vcpus_ended_fn(void *opaque, enum vmm_exit status, const char *why);

struct vcpu {
	struct vcpus *all;
	unsigned id; /* its APIC id */
	int fd;
	struct kvm_run *run;
	pthread_t thread;
	bool has_ended;
};

struct vcpus {
	struct vcpu vcpus[MACHINE_VCPUS_MAX];
	unsigned n_vcpus;
	unsigned n_threads;
	const struct bus *mmio, *ports;
	size_t run_size;
	vcpus_ended_fn *ended;
	void *ended_opaque;

	pthread_mutex_t lock; /* guards what is below */
	pthread_cond_t changed;
	bool may_run;
	unsigned n_parked;
};

/* Creates `n_vcpus` vCPUs without threads. The buses must be filled before vcpus_start(). */
int vcpus_create(struct vcpus *vcpus, const struct kvm *kvm, unsigned n_vcpus, const struct bus *mmio,
		 const struct bus *ports, vcpus_ended_fn *ended, void *ended_opaque, struct error *err);

/* Starts the threads, parked. The calling thread must have blocked all signals that are not for them. */
int vcpus_start(struct vcpus *vcpus, struct error *err);

void vcpus_resume(struct vcpus *vcpus);

/*
 * Returns when no vCPU is in KVM_RUN and every access to a device is complete, so that registers can be read
 * (KVM completes an access only on the next entry).
 */
void vcpus_pause(struct vcpus *vcpus);

#endif
