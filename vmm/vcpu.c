#include "vmm/vcpu.h"

#include "vmm/seccomp.h"

#include <errno.h>
#include <linux/kvm.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>

enum { STACK_SIZE = 256 << 10 };

static int kick_signal(void)
{
	return SIGRTMIN;
}

static void on_kick(int signal_number)
{
	(void)signal_number; /* only interrupts KVM_RUN */
}

static void end(struct vcpu *vcpu, enum vmm_exit status, const char *why)
{
	vcpu->has_ended = true;
	vcpu->all->ended(vcpu->all->ended_opaque, status, why);
}

static void access_ports(const struct vcpu *vcpu)
{
	struct kvm_run *run = vcpu->run;
	uint8_t *data = (uint8_t *)run + run->io.data_offset;

	for (uint32_t i = 0; i < run->io.count; i++)
		bus_access(vcpu->all->ports, run->io.port, data + (size_t)i * run->io.size, run->io.size,
			   run->io.direction == KVM_EXIT_IO_OUT);
}

static void system_event(struct vcpu *vcpu)
{
	switch (vcpu->run->system_event.type) {
	case KVM_SYSTEM_EVENT_CRASH:
		end(vcpu, VMM_EXIT_PANIC, "the guest reported a crash");
		break;
	default:
		end(vcpu, VMM_EXIT_REBOOT, "the guest asked for a shutdown or a reset");
		break;
	}
}

static void kvm_error(struct vcpu *vcpu)
{
	const struct kvm_run *run = vcpu->run;
	char why[200];

	switch (run->exit_reason) {
	case KVM_EXIT_INTERNAL_ERROR:
		snprintf(why, sizeof(why), "KVM gave up on vCPU %u: internal error, suberror %u%s", vcpu->id,
			 run->internal.suberror,
			 run->internal.suberror == KVM_INTERNAL_ERROR_EMULATION ? " (an instruction it cannot emulate)"
										: "");
		break;
	case KVM_EXIT_FAIL_ENTRY:
		snprintf(why, sizeof(why), "the processor refuses to enter vCPU %u, hardware reason 0x%llx", vcpu->id,
			 (unsigned long long)run->fail_entry.hardware_entry_failure_reason);
		break;
	default:
		snprintf(why, sizeof(why), "KVM left vCPU %u for reason %u, which hearth-vmm does not know", vcpu->id,
			 run->exit_reason);
		break;
	}
	end(vcpu, VMM_EXIT_KVM_ERROR, why);
}

static void handle_exit(struct vcpu *vcpu)
{
	struct kvm_run *run = vcpu->run;

	switch (run->exit_reason) {
	case KVM_EXIT_IO:
		access_ports(vcpu);
		break;
	case KVM_EXIT_MMIO:
		bus_access(vcpu->all->mmio, run->mmio.phys_addr, run->mmio.data, run->mmio.len, run->mmio.is_write);
		break;
	case KVM_EXIT_INTR:
		break;
	case KVM_EXIT_SHUTDOWN:
		end(vcpu, VMM_EXIT_TRIPLE_FAULT, "the guest's processor shut down (triple fault)");
		break;
	case KVM_EXIT_SYSTEM_EVENT:
		system_event(vcpu);
		break;
	default:
		kvm_error(vcpu);
		break;
	}
}

/*
 * Only the failed entry that immediate_exit asks for ends this, never an exit with work: the entry after such an exit
 * is what completes the guest's access.
 */
static void run_until_kicked(struct vcpu *vcpu)
{
	char why[160];

	while (!vcpu->has_ended) {
		if (ioctl(vcpu->fd, KVM_RUN, 0) == 0) {
			handle_exit(vcpu);
		} else if (errno == EINTR || errno == EAGAIN) {
			if (__atomic_load_n(&vcpu->run->immediate_exit, __ATOMIC_ACQUIRE))
				return;
		} else {
			snprintf(why, sizeof(why), "KVM_RUN failed on vCPU %u: %s", vcpu->id, strerror(errno));
			end(vcpu, VMM_EXIT_KVM_ERROR, why);
		}
	}
}

static void park(struct vcpu *vcpu)
{
	struct vcpus *all = vcpu->all;

	pthread_mutex_lock(&all->lock);
	all->n_parked++;
	pthread_cond_broadcast(&all->changed);
	while (!all->may_run || vcpu->has_ended)
		pthread_cond_wait(&all->changed, &all->lock);
	all->n_parked--;
	pthread_mutex_unlock(&all->lock);
}

static void *vcpu_thread(void *opaque)
{
	struct vcpu *vcpu = opaque;
	struct error err = { 0 };
	char name[16];
	sigset_t kick;

	snprintf(name, sizeof(name), "vcpu%u", vcpu->id);
	pthread_setname_np(pthread_self(), name);
	sigemptyset(&kick);
	sigaddset(&kick, kick_signal());
	pthread_sigmask(SIG_UNBLOCK, &kick, NULL);
	if (seccomp_enter(SECCOMP_VCPU, &err) < 0)
		end(vcpu, VMM_EXIT_FAILURE, err.text);
	for (;;) {
		park(vcpu);
		run_until_kicked(vcpu);
	}
	return NULL;
}

int vcpus_create(struct vcpus *vcpus, const struct kvm *kvm, unsigned n_vcpus, const struct bus *mmio,
		 const struct bus *ports, vcpus_ended_fn *ended, void *ended_opaque, struct error *err)
{
	*vcpus = (struct vcpus) { .mmio = mmio, .ports = ports, .ended = ended, .ended_opaque = ended_opaque };
	vcpus->run_size = kvm->run_size;
	pthread_mutex_init(&vcpus->lock, NULL);
	pthread_cond_init(&vcpus->changed, NULL);
	for (unsigned id = 0; id < n_vcpus; id++) {
		struct vcpu *vcpu = &vcpus->vcpus[id];

		*vcpu = (struct vcpu) { .all = vcpus, .id = id };
		vcpu->fd = kvm_call_number(kvm->vm_fd, KVM_CREATE_VCPU, id);
		if (vcpu->fd < 0)
			return error_set(err, errno, "KVM cannot create vCPU %u: %s", id, strerror(errno));
		vcpu->run = mmap(NULL, kvm->run_size, PROT_READ | PROT_WRITE, MAP_SHARED, vcpu->fd, 0);
		if (vcpu->run == MAP_FAILED)
			return error_set(err, errno, "cannot map vCPU %u: %s", id, strerror(errno));
		vcpus->n_vcpus++;
	}
	return 0;
}

int vcpus_start(struct vcpus *vcpus, struct error *err)
{
	struct sigaction action = { .sa_handler = on_kick }; /* without SA_RESTART */
	pthread_attr_t attributes;
	int status = 0;

	sigaction(kick_signal(), &action, NULL);
	pthread_attr_init(&attributes);
	pthread_attr_setstacksize(&attributes, STACK_SIZE);
	for (unsigned id = 0; id < vcpus->n_vcpus && status == 0; id++) {
		status = pthread_create(&vcpus->vcpus[id].thread, &attributes, vcpu_thread, &vcpus->vcpus[id]);
		if (status == 0)
			vcpus->n_threads++;
	}
	pthread_attr_destroy(&attributes);
	if (status)
		return error_set(err, status, "cannot start a vCPU's thread: %s", strerror(status));
	return 0;
}

void vcpus_resume(struct vcpus *vcpus)
{
	pthread_mutex_lock(&vcpus->lock);
	/* A thread that has just been made counts as parked only when it got there. */
	while (vcpus->n_parked < vcpus->n_threads && !vcpus->may_run)
		pthread_cond_wait(&vcpus->changed, &vcpus->lock);
	for (unsigned id = 0; id < vcpus->n_vcpus; id++)
		__atomic_store_n(&vcpus->vcpus[id].run->immediate_exit, 0, __ATOMIC_RELEASE);
	vcpus->may_run = true;
	pthread_cond_broadcast(&vcpus->changed);
	pthread_mutex_unlock(&vcpus->lock);
}

void vcpus_pause(struct vcpus *vcpus)
{
	pthread_mutex_lock(&vcpus->lock);
	vcpus->may_run = false;
	/* The flag covers a thread that is just about to enter; the signal one that is in. */
	for (unsigned id = 0; id < vcpus->n_threads; id++) {
		__atomic_store_n(&vcpus->vcpus[id].run->immediate_exit, 1, __ATOMIC_RELEASE);
		pthread_kill(vcpus->vcpus[id].thread, kick_signal());
	}
	while (vcpus->n_parked < vcpus->n_threads)
		pthread_cond_wait(&vcpus->changed, &vcpus->lock);
	pthread_mutex_unlock(&vcpus->lock);
}
