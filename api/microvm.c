#include "api/microvm.h"

#include "api/microvm_directory.h"
#include "api/ready_listener.h"
#include "api/vmm_client.h"
#include "common/log.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
	STOP_TIMEOUT_MS = 2000,     /* for an orderly end, before SIGKILL */
	EXIT_REASON_WAIT_MS = 1000, /* for the process's exit, which says more than a broken connection */
};

enum microvm_state {
	MICROVM_SPAWNED,    /* the process was started */
	MICROVM_BOOTING,    /* the vCPUs run */
	MICROVM_CONNECTING, /* the agent said that it is ready */
	MICROVM_READY,
	MICROVM_LOSING, /* the agent's connection broke; the process's exit will tell why */
	MICROVM_ENDING,
	MICROVM_N_STATES,
};

#define TO(state) (1u << (state))

static const uint8_t may_become[MICROVM_N_STATES] = {
	/* AGENT_READY may overtake the answer to VMM_BOOT: they come by two sockets. */
	[MICROVM_SPAWNED] = TO(MICROVM_BOOTING) | TO(MICROVM_CONNECTING) | TO(MICROVM_ENDING),
	[MICROVM_BOOTING] = TO(MICROVM_CONNECTING) | TO(MICROVM_ENDING),
	[MICROVM_CONNECTING] = TO(MICROVM_READY) | TO(MICROVM_LOSING) | TO(MICROVM_ENDING),
	[MICROVM_READY] = TO(MICROVM_LOSING) | TO(MICROVM_ENDING),
	[MICROVM_LOSING] = TO(MICROVM_ENDING),
	[MICROVM_ENDING] = 0,
};

static const char *const state_names[] = { "spawned", "booting", "connecting", "ready", "losing", "ending" };

struct microvm {
	struct microvm_host *host;
	const struct microvm_owner *callbacks; /* NULL: nobody is told */
	void *owner;
	enum microvm_state state;
	char id[MICROVM_ID_SIZE];
	struct microvm_directory directory;
	struct vmm_client *vmm;
	struct ready_listener *ready_listener;
	struct agent_client *agent;
	uv_timer_t timer; /* boot timeout, then exit reason, then stop timeout */
	char lost_reason[256];
	uint64_t spawned_ns;
	struct microvm_timing timing;
};

static void move(struct microvm *vm, enum microvm_state state)
{
	if (!(may_become[vm->state] & TO(state))) {
		log_error("vm=%s cannot become %s from %s", vm->id, state_names[state], state_names[vm->state]);
		abort();
	}
	log_debug("vm=%s state=%s->%s", vm->id, state_names[vm->state], state_names[state]);
	vm->state = state;
}

static uint64_t since_spawn_us(const struct microvm *vm)
{
	return (uv_hrtime() - vm->spawned_ns) / 1000;
}

static void on_timer_closed(uv_handle_t *handle)
{
	struct microvm *vm = handle->data;
	struct microvm_host *host = vm->host;

	free(vm);
	if (--host->n_microvms == 0 && host->all_gone)
		host->all_gone(host->data);
}

/* The process is gone, or never was. */
static void dispose(struct microvm *vm)
{
	vmm_client_close(vm->vmm);
	ready_listener_close(vm->ready_listener);
	agent_client_close(vm->agent);
	microvm_directory_remove(&vm->directory);
	uv_close((uv_handle_t *)&vm->timer, on_timer_closed);
}

static void on_stop_timeout(uv_timer_t *timer)
{
	struct microvm *vm = timer->data;

	log_warn("vm=%s did not stop within %d ms and is killed", vm->id, STOP_TIMEOUT_MS);
	vmm_client_kill(vm->vmm);
}

void microvm_destroy(struct microvm *vm)
{
	if (!vm)
		return;
	vm->callbacks = NULL;
	if (vm->state == MICROVM_ENDING)
		return;
	move(vm, MICROVM_ENDING);
	agent_client_close(vm->agent);
	vm->agent = NULL;
	ready_listener_close(vm->ready_listener);
	vm->ready_listener = NULL;
	if (vmm_client_order(vm->vmm, VMM_STOP) < 0)
		vmm_client_kill(vm->vmm);
	uv_timer_start(&vm->timer, on_stop_timeout, STOP_TIMEOUT_MS, 0);
}

/* Ends a microVM that nobody asked to end. */
static void lose(struct microvm *vm, const char *reason)
{
	const struct microvm_owner *callbacks = vm->callbacks;
	void *owner = vm->owner;

	log_warn("vm=%s lost: %s", vm->id, reason);
	microvm_directory_log_console(&vm->directory, vm->id);
	microvm_destroy(vm);
	if (callbacks)
		callbacks->lost(owner, reason);
}

static void on_exit_reason_timeout(uv_timer_t *timer)
{
	struct microvm *vm = timer->data;

	lose(vm, vm->lost_reason);
}

/* The agent's connection broke. If the machine died, its exit comes within moments and is the better reason. */
static void agent_failed(void *owner, const char *reason, bool broke_protocol)
{
	struct microvm *vm = owner;

	agent_client_close(vm->agent);
	vm->agent = NULL;
	if (broke_protocol) {
		lose(vm, reason);
		return;
	}
	snprintf(vm->lost_reason, sizeof(vm->lost_reason), "%s", reason);
	move(vm, MICROVM_LOSING);
	uv_timer_start(&vm->timer, on_exit_reason_timeout, EXIT_REASON_WAIT_MS, 0);
}

static void agent_connected(void *owner)
{
	struct microvm *vm = owner;

	uv_timer_stop(&vm->timer);
	vm->timing.total_us = since_spawn_us(vm);
	move(vm, MICROVM_READY);
	log_info("vm=%s cold start: total_ms=%.1f vmm_ms=%.1f kernel_ms=%.1f agent_ms=%.1f", vm->id,
		 (double)vm->timing.total_us / 1000, (double)vm->timing.vmm_us / 1000,
		 (double)vm->timing.kernel_us / 1000, (double)vm->timing.agent_us / 1000);
	if (vm->callbacks)
		vm->callbacks->ready(vm->owner);
}

static void agent_started(void *owner, uint64_t waited_us)
{
	struct microvm *vm = owner;

	if (vm->callbacks)
		vm->callbacks->started(vm->owner, waited_us);
}

static void agent_output(void *owner, enum agent_frame_type stream, const uint8_t *data, size_t size)
{
	struct microvm *vm = owner;

	if (vm->callbacks)
		vm->callbacks->output(vm->owner, stream, data, size);
}

static void agent_display(void *owner, const struct mime_bundle *bundle, bool is_result)
{
	struct microvm *vm = owner;

	if (vm->callbacks)
		vm->callbacks->display(vm->owner, bundle, is_result);
}

static void agent_done(void *owner, const struct agent_done *done)
{
	struct microvm *vm = owner;

	if (vm->callbacks)
		vm->callbacks->done(vm->owner, done);
}

static const struct agent_events agent_events = {
	.connected = agent_connected,
	.started = agent_started,
	.output = agent_output,
	.display = agent_display,
	.done = agent_done,
	.failed = agent_failed,
};

static void on_agent_ready(void *owner, const struct agent_ready *ready, const char *problem)
{
	struct microvm *vm = owner;
	int rc;

	vm->ready_listener = NULL;
	if (!ready) {
		lose(vm, problem);
		return;
	}
	vm->timing.kernel_us = ready->began_us;
	vm->timing.agent_us = ready->listens_us - ready->began_us;
	move(vm, MICROVM_CONNECTING);
	vm->agent = agent_client_connect(vm->host->loop, vm->directory.vsock, &agent_events, vm, &rc);
	if (!vm->agent)
		lose(vm, strerror(-rc));
}

static void on_vmm_answered(void *owner, enum vmm_message_type order, int status, const char *text)
{
	struct microvm *vm = owner;
	char reason[320];

	if (order != VMM_BOOT || vm->state == MICROVM_ENDING)
		return;
	if (status != 0) {
		snprintf(reason, sizeof(reason), "hearth-vmm cannot boot it: %s", text[0] ? text : strerror(status));
		lose(vm, reason);
		return;
	}
	vm->timing.vmm_us = since_spawn_us(vm);
	if (vm->state == MICROVM_SPAWNED)
		move(vm, MICROVM_BOOTING);
}

static void on_vmm_exited(void *owner, const char *reason)
{
	struct microvm *vm = owner;
	const struct microvm_owner *callbacks = vm->callbacks;
	void *vm_owner = vm->owner;

	if (vm->state != MICROVM_ENDING) {
		move(vm, MICROVM_ENDING);
		log_warn("vm=%s lost: %s", vm->id, reason);
		microvm_directory_log_console(&vm->directory, vm->id);
	}
	uv_timer_stop(&vm->timer);
	dispose(vm);
	if (callbacks)
		callbacks->lost(vm_owner, reason);
}

static const struct vmm_events vmm_events = { .answered = on_vmm_answered, .exited = on_vmm_exited };

static void on_boot_timeout(uv_timer_t *timer)
{
	struct microvm *vm = timer->data;
	char reason[128];

	snprintf(reason, sizeof(reason), "its agent was not ready within %u s (boot-timeout-seconds)",
		 vm->host->boot_timeout_ms / 1000);
	lose(vm, reason);
}

static struct vmm_client *spawn_vmm(struct microvm *vm, struct error *err)
{
	const struct microvm_host *host = vm->host;
	char memory[16], vcpus[16], cmdline[512], control[16], disk[4100];
	char *const arguments[] = {
		(char *)host->vmm,
		"--id",
		vm->id,
		"--control",
		control,
		"--kernel",
		(char *)host->kernel,
		"--cmdline",
		cmdline,
		"--disk",
		disk,
		"--memory",
		memory,
		"--vcpus",
		vcpus,
		"--vsock",
		vm->directory.vsock,
		"--console",
		vm->directory.console,
		NULL,
	};

	snprintf(control, sizeof(control), "%d", VMM_CONTROL_FD);
	snprintf(memory, sizeof(memory), "%u", host->memory_mib);
	snprintf(vcpus, sizeof(vcpus), "%u", host->n_vcpus);
	snprintf(disk, sizeof(disk), "%s,ro", host->image);
	snprintf(cmdline, sizeof(cmdline), "root=/dev/vda rootfstype=erofs ro init=/sbin/init %s",
		 host->kernel_arguments);
	return vmm_client_spawn(host->loop, arguments, &vmm_events, vm, err);
}

/* What must stand before the process exists. 0 or negative with *err filled. */
static int prepare(struct microvm *vm, struct error *err)
{
	char path[sizeof(vm->directory.vsock) + 8];
	int rc = microvm_directory_create(&vm->directory, vm->host->runtime_directory, vm->id, err);

	if (rc < 0)
		return rc;
	snprintf(path, sizeof(path), "%s_%d", vm->directory.vsock, AGENT_READY_PORT);
	vm->ready_listener = ready_listener_open(vm->host->loop, path, on_agent_ready, vm, &rc);
	return vm->ready_listener ? 0 : error_set(err, -rc, "cannot listen on %s: %s", path, strerror(-rc));
}

struct microvm *microvm_create(struct microvm_host *host, const struct microvm_owner *callbacks, void *owner,
			       struct error *err)
{
	struct microvm *vm = calloc(1, sizeof(*vm));

	if (!vm) {
		error_set(err, ENOMEM, "out of memory");
		return NULL;
	}
	vm->host = host;
	host->n_microvms++;
	uv_timer_init(host->loop, &vm->timer);
	vm->timer.data = vm;
	vm->spawned_ns = uv_hrtime();
	if (prepare(vm, err) == 0)
		vm->vmm = spawn_vmm(vm, err);
	if (!vm->vmm) {
		dispose(vm);
		return NULL;
	}
	vm->callbacks = callbacks;
	vm->owner = owner;
	/* A failure here shows as the process's exit. */
	vmm_client_order(vm->vmm, VMM_BOOT);
	uv_timer_start(&vm->timer, on_boot_timeout, host->boot_timeout_ms, 0);
	return vm;
}

void microvm_hand_over(struct microvm *vm, const struct microvm_owner *callbacks, void *owner)
{
	vm->callbacks = callbacks;
	vm->owner = owner;
}

const char *microvm_id(const struct microvm *vm)
{
	return vm->id;
}

const struct microvm_timing *microvm_timing(const struct microvm *vm)
{
	return &vm->timing;
}

int microvm_execute(struct microvm *vm, const struct agent_order *order)
{
	return vm->agent ? agent_client_execute(vm->agent, order) : -ENOTCONN;
}

void microvm_interrupt(struct microvm *vm)
{
	if (vm->agent)
		agent_client_interrupt(vm->agent);
}

void microvm_pause_output(struct microvm *vm, bool paused)
{
	if (vm->agent)
		agent_client_pause(vm->agent, paused);
}
