#include "api/container_spec.h"
#include "api/microvm_private.h"
#include "api/vmm_cgroups.h"
#include "common/log.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
	STOP_TIMEOUT_MS = 2000, /* for an orderly end, before SIGKILL */
	CGROUP_RETRY_MS = 50,
	CGROUP_RETRIES = 100,
};

/* ---- states ------------------------------------------------------------------------------------------------------ */

#define TO(state) (1u << MICROVM_##state)

static const uint32_t may_become[MICROVM_N_STATES] = {
	/* AGENT_READY may overtake the answer to VMM_BOOT: they come by two sockets. */
	[MICROVM_SPAWNED] = TO(BOOTING) | TO(RESUMING) | TO(CONNECTING) | TO(ENDING),
	[MICROVM_BOOTING] = TO(CONNECTING) | TO(ENDING),
	[MICROVM_ATTACHING] = TO(RESUMING) | TO(CONNECTING) | TO(ENDING),
	[MICROVM_RESUMING] = TO(CONNECTING) | TO(ENDING),
	[MICROVM_CONNECTING] = TO(ADOPTING) | TO(READY) | TO(LOSING) | TO(ENDING),
	[MICROVM_ADOPTING] = TO(READY) | TO(PARKING) | TO(LOSING) | TO(ENDING),
	[MICROVM_PARKING] = TO(PARKED) | TO(LOSING) | TO(ENDING),
	[MICROVM_PARKED] = TO(READY) | TO(LOSING) | TO(ENDING),
	[MICROVM_READY] = TO(SETTLING) | TO(DISCONNECTING) | TO(LOSING) | TO(ENDING),
	[MICROVM_SETTLING] = TO(READY) | TO(LOSING) | TO(ENDING),
	[MICROVM_DISCONNECTING] = TO(PAUSING) | TO(CONNECTING) | TO(ENDING),
	[MICROVM_PAUSING] = TO(SAVING) | TO(ENDING),
	[MICROVM_SAVING] = TO(SAVED) | TO(RESUMING) | TO(ENDING),
	[MICROVM_SAVED] = TO(ENDING),
	[MICROVM_LOSING] = TO(ENDING),
	[MICROVM_ENDING] = 0,
};

static const char *const state_names[MICROVM_N_STATES] = {
	"spawned", "booting",  "attaching",     "resuming", "connecting", "adopting", "parking", "parked",
	"ready",   "settling", "disconnecting", "pausing",  "saving",     "saved",    "losing",  "ending",
};

void microvm_move(struct microvm *vm, enum microvm_state state)
{
	if (!(may_become[vm->state] & 1u << state)) {
		log_error("vm=%s cannot become %s from %s", vm->id, state_names[state], state_names[vm->state]);
		abort();
	}
	log_debug("vm=%s state=%s->%s", vm->id, state_names[vm->state], state_names[state]);
	vm->state = state;
}

uint64_t microvm_since_us(uint64_t ns)
{
	return (uv_hrtime() - ns) / 1000;
}

/* ---- the end ----------------------------------------------------------------------------------------------------- */

static void on_timer_closed(uv_handle_t *handle)
{
	struct microvm *vm = handle->data;
	struct microvm_host *host = vm->host;

	if (vm->gone)
		vm->gone(vm->gone_data);
	free(vm);
	if (--host->n_microvms == 0 && host->all_gone)
		host->all_gone(host->data);
}

static void on_poll_closed(uv_handle_t *handle)
{
	struct microvm *vm = handle->data;

	uv_close((uv_handle_t *)&vm->timer, on_timer_closed);
}

/* The kernel may still be taking apart what it killed, for lack of memory above all: the cgroup is in use for moments. */
static void leave_cgroups(uv_timer_t *timer)
{
	struct microvm *vm = timer->data;
	int rc = vm->host->cgroups ? vmm_cgroups_remove(vm->host->cgroups, vm->id) : 0;

	if (rc == -EBUSY && ++vm->n_cgroup_retries <= CGROUP_RETRIES) {
		uv_timer_start(&vm->timer, leave_cgroups, CGROUP_RETRY_MS, 0);
		return;
	}
	if (rc < 0)
		log_warn("vm=%s its cgroup stays until the next start: %s", vm->id, strerror(-rc));
	uv_close((uv_handle_t *)&vm->poll, on_poll_closed);
}

static void close_all(struct microvm *vm)
{
	vmm_client_close(vm->vmm);
	ready_listener_close(vm->ready_listener);
	token_listener_close(vm->token_listener);
	network_leave(vm->network);
	if (vm->deaf_fd >= 0)
		close(vm->deaf_fd);
	agent_client_close(vm->agent);
	snapshot_release(vm->snapshot);
	container_spec_release(vm->container);
}

static void let_go(struct microvm *vm)
{
	uv_timer_stop(&vm->timer);
	close_all(vm);
	uv_close((uv_handle_t *)&vm->poll, on_poll_closed);
}

static void dispose(struct microvm *vm);

static void on_network_gone(void *data)
{
	struct microvm *vm = data;

	vm->network = NULL;
	dispose(vm);
}

/* The process is gone, or never was. What the two processes share goes when both are gone. */
static void dispose(struct microvm *vm)
{
	if (vm->network) {
		network_end(vm->network, on_network_gone, vm);
		return;
	}
	microvm_directory_remove(&vm->directory);
	close_all(vm);
	leave_cgroups(&vm->timer);
}

void microvm_leave(struct microvm *vm)
{
	vm->callbacks = NULL;
	let_go(vm);
}

/* Nothing that its guest has said is heard from here on. */
static void stop_listening(struct microvm *vm)
{
	uv_timer_stop(&vm->poll);
	agent_client_close(vm->agent);
	vm->agent = NULL;
	ready_listener_close(vm->ready_listener);
	vm->ready_listener = NULL;
	token_listener_close(vm->token_listener);
	vm->token_listener = NULL;
}

static void on_stop_timeout(uv_timer_t *timer)
{
	struct microvm *vm = timer->data;

	log_warn("vm=%s did not stop within %d ms and is killed", vm->id, STOP_TIMEOUT_MS);
	vmm_client_kill(vm->vmm);
}

void microvm_destroy(struct microvm *vm, void (*gone)(void *data), void *data)
{
	if (!vm)
		return;
	vm->callbacks = NULL;
	vm->gone = gone;
	vm->gone_data = data;
	if (vm->state == MICROVM_ENDING)
		return;
	microvm_move(vm, MICROVM_ENDING);
	stop_listening(vm);
	if (vmm_client_order(vm->vmm, VMM_STOP) < 0)
		vmm_client_kill(vm->vmm);
	uv_timer_start(&vm->timer, on_stop_timeout, STOP_TIMEOUT_MS, 0);
}

bool microvm_is_losing(const struct microvm *vm)
{
	return vm->state == MICROVM_LOSING;
}

void microvm_lose(struct microvm *vm, const char *reason)
{
	const struct microvm_owner *callbacks = vm->callbacks;
	void *owner = vm->owner;

	if (vm->state == MICROVM_ENDING)
		return;
	log_warn("vm=%s lost: %s", vm->id, reason);
	microvm_directory_log_console(&vm->directory, vm->id);
	microvm_destroy(vm, NULL, NULL);
	if (callbacks)
		callbacks->lost(owner, reason);
}

static void on_start_timeout(uv_timer_t *timer)
{
	struct microvm *vm = timer->data;
	char reason[128];

	snprintf(reason, sizeof(reason), "its agent was not ready within %u s (boot-timeout-seconds)",
		 vm->host->boot_timeout_ms / 1000);
	microvm_lose(vm, reason);
}

/* ---- ready ------------------------------------------------------------------------------------------------------- */

void microvm_order(struct microvm *vm, enum vmm_message_type order)
{
	/* A failure here shows as the process's exit, which tells more. */
	if (vmm_client_order(vm->vmm, order) < 0)
		log_debug("vm=%s cannot be given order %d", vm->id, order);
}

void microvm_connect_agent(struct microvm *vm)
{
	int rc;

	microvm_move(vm, MICROVM_CONNECTING);
	uv_timer_start(&vm->timer, on_start_timeout, vm->host->boot_timeout_ms, 0);
	vm->agent = agent_client_connect(vm->host->loop, vm->directory.vsock, &microvm_agent_events, vm, &rc);
	if (!vm->agent)
		microvm_lose(vm, strerror(-rc));
}

void microvm_tell_ready(struct microvm *vm)
{
	const struct microvm_timing *t = &vm->timing;

	uv_timer_stop(&vm->timer);
	if (vm->timing.total_us == 0 && vm->spawned_ns) {
		vm->timing.total_us = microvm_since_us(vm->spawned_ns);
		log_info("vm=%s started=%s total_ms=%.1f vmm_ms=%.1f kernel_ms=%.1f agent_ms=%.1f adopt_ms=%.1f",
			 vm->id, vm->snapshot ? "restore" : "boot", (double)t->total_us / 1000,
			 (double)t->vmm_us / 1000, (double)t->kernel_us / 1000, (double)t->agent_us / 1000,
			 (double)t->adopt_us / 1000);
	}
	if (vm->callbacks)
		vm->callbacks->ready(vm->owner);
}

/* ---- what the VMM says ------------------------------------------------------------------------------------------- */

static void on_running(struct microvm *vm)
{
	if (vm->timing.vmm_us == 0 && vm->spawned_ns)
		vm->timing.vmm_us = microvm_since_us(vm->spawned_ns);
	if (vm->state == MICROVM_SPAWNED) {
		microvm_move(vm, MICROVM_BOOTING);
	} else if (vm->state == MICROVM_RESUMING) {
		microvm_connect_agent(vm);
	} else if (vm->resumed_ns) {
		vm->timing.resume_us = microvm_since_us(vm->resumed_ns);
		vm->resumed_ns = 0;
	}
}

static void on_attached(struct microvm *vm, const char *text)
{
	if (vmm_answer_has(text, "state", "running")) {
		microvm_connect_agent(vm);
		return;
	}
	/* It was being saved when its hearthd went. */
	microvm_move(vm, MICROVM_RESUMING);
	microvm_order(vm, VMM_RESUME);
}

static uint64_t count(const char *text, const char *name)
{
	int64_t n = vmm_answer_number(text, name);

	return n < 0 ? 0 : (uint64_t)n;
}

static void on_counted(struct microvm *vm, const char *text)
{
	vm->counts = (struct microvm_counts) {
		.n_kvm_calls = count(text, "ioctls"),
		.n_exits = count(text, "exits"),
		.n_faults = count(text, "faults"),
		.ready_us = count(text, "ready_us"),
	};
}

static void on_parked(struct microvm *vm)
{
	microvm_move(vm, MICROVM_PARKED);
	microvm_tell_ready(vm);
}

static void on_vmm_answered(void *owner, enum vmm_message_type order, int status, const char *text)
{
	struct microvm *vm = owner;
	char reason[640];

	if (vm->state == MICROVM_ENDING || vm->state == MICROVM_LOSING)
		return;
	if (vm->state >= MICROVM_DISCONNECTING && vm->state <= MICROVM_SAVING) {
		microvm_save_answered(vm, order, status, text);
	} else if (status != 0) {
		snprintf(reason, sizeof(reason), "hearth-vmm cannot %s it: %s",
			 order == VMM_BOOT     ? "boot"
			 : order == VMM_RESUME ? "run"
			 : order == VMM_PAUSE  ? "pause"
					       : "tell of",
			 text[0] ? text : strerror(status));
		microvm_lose(vm, reason);
	} else if (order == VMM_BOOT || order == VMM_RESUME) {
		on_running(vm);
	} else if (order == VMM_QUERY && vm->state == MICROVM_ATTACHING) {
		on_attached(vm, text);
	} else if (order == VMM_QUERY) {
		on_counted(vm, text);
	} else if (order == VMM_PAUSE && vm->state == MICROVM_PARKING) {
		on_parked(vm);
	}
}

static void on_vmm_exited(void *owner, const char *reason)
{
	struct microvm *vm = owner;
	const struct microvm_owner *callbacks = vm->callbacks;
	void *vm_owner = vm->owner;

	if (vm->state != MICROVM_ENDING) {
		microvm_move(vm, MICROVM_ENDING);
		log_warn("vm=%s lost: %s", vm->id, reason);
		microvm_directory_log_console(&vm->directory, vm->id);
	}
	uv_timer_stop(&vm->timer);
	/* Its last words may still come while its hearth-netd is waited for, and its owner is about to forget it. */
	stop_listening(vm);
	vm->callbacks = NULL;
	dispose(vm);
	if (callbacks)
		callbacks->lost(vm_owner, reason);
}

const struct vmm_events microvm_vmm_events = { .answered = on_vmm_answered, .exited = on_vmm_exited };

/* ---- what its owner asks for ------------------------------------------------------------------------------------- */

static struct microvm *allocate(struct microvm_host *host, const struct microvm_shape *shape, struct snapshot *snapshot,
				struct error *err)
{
	struct microvm *vm = calloc(1, sizeof(*vm));

	if (!vm) {
		error_set(err, ENOMEM, "out of memory");
		return NULL;
	}
	vm->host = host;
	vm->deaf_fd = -1;
	host->n_microvms++;
	uv_timer_init(host->loop, &vm->timer);
	uv_timer_init(host->loop, &vm->poll);
	vm->timer.data = vm;
	vm->poll.data = vm;
	vm->shape = *shape;
	vm->snapshot = snapshot ? snapshot_hold(snapshot) : NULL;
	return vm;
}

struct microvm *microvm_create(struct microvm_host *host, const struct microvm_start *start,
			       const struct microvm_owner *callbacks, void *owner, struct error *err)
{
	bool is_restore = start->way == MICROVM_RESTORE;
	struct snapshot *snapshot = is_restore ? start->snapshot : NULL;
	struct microvm *vm = allocate(host, is_restore ? &snapshot->machine.shape : &start->shape, snapshot, err);

	if (!vm)
		return NULL;
	vm->spawned_ns = uv_hrtime();
	vm->must_adopt = is_restore;
	vm->identity = start->identity;
	vm->container = !is_restore && start->container ? container_spec_hold(start->container) : NULL;
	vm->must_park = is_restore && start->is_parked;
	if (microvm_spawn(vm, start, err) < 0) {
		dispose(vm);
		return NULL;
	}
	vm->callbacks = callbacks;
	vm->owner = owner;
	uv_timer_start(&vm->timer, on_start_timeout, host->boot_timeout_ms, 0);
	if (is_restore)
		microvm_move(vm, MICROVM_RESUMING);
	microvm_order(vm, is_restore ? VMM_RESUME : VMM_BOOT);
	return vm;
}

struct microvm *microvm_attach(struct microvm_host *host, const char *id, const struct microvm_directory *d,
			       const struct microvm_shape *shape, struct snapshot *snapshot,
			       struct token_source *tokens, const struct microvm_owner *callbacks, void *owner,
			       struct error *err)
{
	struct microvm *vm = allocate(host, shape, snapshot, err);

	if (!vm)
		return NULL;
	snprintf(vm->id, sizeof(vm->id), "%s", id);
	vm->vmm = vmm_client_adopt(host->loop, d->control, pid_file_read(d->pid), id, &microvm_vmm_events, vm, err);
	if (!vm->vmm) {
		let_go(vm);
		return NULL;
	}
	vm->directory = *d;
	/* Under a new secret, which the guest is told. */
	if (tokens && microvm_listen_for_tokens(vm, tokens, err) < 0)
		log_warn("vm=%s has no tokens: %s", vm->id, err->text);
	*err = (struct error) { 0 };
	vm->network = network_adopt(host->loop, d, id, err);
	if (!vm->network && err->code)
		log_warn("vm=%s is without network: %s", vm->id, err->text);
	/* Wherever it was: its agent is to answer in time. */
	vm->is_background = true;
	microvm_set_background(vm, false);
	vm->state = MICROVM_ATTACHING;
	vm->callbacks = callbacks;
	vm->owner = owner;
	uv_timer_start(&vm->timer, on_start_timeout, host->boot_timeout_ms, 0);
	microvm_order(vm, VMM_QUERY);
	return vm;
}

void microvm_hand_over(struct microvm *vm, const struct microvm_owner *callbacks, void *owner)
{
	vm->callbacks = callbacks;
	vm->owner = owner;
}

void microvm_name_session(struct microvm *vm, const char *session, const char *pool)
{
	network_name_session(vm->network, session, pool);
}

const char *microvm_id(const struct microvm *vm)
{
	return vm->id;
}

const struct microvm_timing *microvm_timing(const struct microvm *vm)
{
	return &vm->timing;
}

const struct microvm_counts *microvm_counts(const struct microvm *vm)
{
	return &vm->counts;
}

const struct microvm_directory *microvm_directory_of(const struct microvm *vm)
{
	return &vm->directory;
}

const struct microvm_shape *microvm_shape_of(const struct microvm *vm)
{
	return &vm->shape;
}

struct snapshot *microvm_snapshot(const struct microvm *vm)
{
	return vm->snapshot;
}

struct container_spec *microvm_container(const struct microvm *vm)
{
	return vm->container;
}

void microvm_limit(struct microvm *vm, const struct microvm_limits *limits)
{
	/* Whole ones need no limit: that many vCPUs cannot take more. */
	if (vm->host->cgroups && vm->host->jail != MICROVM_JAIL_OFF && limits->cpu_milli % 1000 &&
	    limits->cpu_milli < vm->shape.n_vcpus * 1000)
		vmm_cgroups_set_share(vm->host->cgroups, vm->id, limits->cpu_milli);
	if (vm->agent && (limits->n_processes || limits->disk_bytes))
		agent_client_limit(vm->agent, limits->n_processes, limits->disk_bytes);
}

void microvm_set_background(struct microvm *vm, bool is_background)
{
	if (vm->is_background == is_background || !vm->host->cgroups || vm->host->jail == MICROVM_JAIL_OFF)
		return;
	vm->is_background = is_background;
	vmm_cgroups_set_background(vm->host->cgroups, vm->id, is_background);
}

void microvm_run(struct microvm *vm)
{
	if (vm->state != MICROVM_PARKED)
		return;
	vm->resumed_ns = uv_hrtime();
	microvm_move(vm, MICROVM_READY);
	microvm_order(vm, VMM_RESUME);
}

int microvm_execute(struct microvm *vm, const struct agent_order *order)
{
	/* The guest finds the order waiting when it runs. */
	microvm_run(vm);
	return vm->agent ? agent_client_execute(vm->agent, order) : -ENOTCONN;
}

int microvm_settle(struct microvm *vm)
{
	int rc = vm->agent ? agent_client_settle(vm->agent) : -ENOTCONN;

	if (rc < 0)
		return rc;
	microvm_move(vm, MICROVM_SETTLING);
	uv_timer_start(&vm->timer, on_start_timeout, vm->host->boot_timeout_ms, 0);
	return 0;
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
