/* What the agent says, from its first word after a start to the end of its connection. */
#include "api/microvm_private.h"
#include "common/log.h"

#include <stdio.h>

enum {
	EXIT_REASON_WAIT_MS = 1000, /* for the process's exit, which says more than a broken connection */
};

/* The agent can be given orders. */
static void become_usable(struct microvm *vm)
{
	if (vm->token_listener && agent_client_offer_tokens(vm->agent, token_listener_secret(vm->token_listener)) < 0)
		log_warn("vm=%s cannot be offered tokens", vm->id);
	/* Not waited for: the counts of the way here, the agent's first answer included. */
	if (vm->counts.n_kvm_calls == 0)
		microvm_order(vm, VMM_QUERY);
	if (vm->must_park) {
		vm->must_park = false;
		microvm_move(vm, MICROVM_PARKING);
		microvm_order(vm, VMM_PAUSE);
		return;
	}
	microvm_move(vm, MICROVM_READY);
	if (vm->writer)
		microvm_save_finish(vm);
	else
		microvm_tell_ready(vm);
}

static void agent_connected(void *owner)
{
	struct microvm *vm = owner;
	char host_name[sizeof("hearth-") + MICROVM_ID_SIZE];

	if (!vm->must_adopt) {
		become_usable(vm);
		return;
	}
	vm->must_adopt = false;
	vm->connected_ns = uv_hrtime();
	vm->timing.agent_us = microvm_since_us(vm->spawned_ns) - vm->timing.vmm_us;
	microvm_move(vm, MICROVM_ADOPTING);
	snprintf(host_name, sizeof(host_name), "hearth-%s", vm->id);
	if (agent_client_adopt(vm->agent, vm->identity, host_name) < 0)
		microvm_lose(vm, "its agent cannot be given orders");
}

static void agent_adopted(void *owner, const char *problem)
{
	struct microvm *vm = owner;
	char reason[320];

	if (problem[0]) {
		snprintf(reason, sizeof(reason), "its guest could not take its identity: %.256s", problem);
		microvm_lose(vm, reason);
		return;
	}
	vm->timing.adopt_us = microvm_since_us(vm->connected_ns);
	become_usable(vm);
}

static void agent_settled(void *owner, const char *problem)
{
	struct microvm *vm = owner;

	uv_timer_stop(&vm->timer);
	microvm_move(vm, MICROVM_READY);
	if (vm->callbacks)
		vm->callbacks->settled(vm->owner, problem);
}

static void on_exit_reason_timeout(uv_timer_t *timer)
{
	struct microvm *vm = timer->data;

	microvm_lose(vm, vm->lost_reason);
}

/* The agent's connection broke. If the machine died, its exit comes within moments and is the better reason. */
static void agent_failed(void *owner, const char *reason, bool broke_protocol)
{
	struct microvm *vm = owner;

	agent_client_close(vm->agent);
	vm->agent = NULL;
	if (broke_protocol) {
		microvm_lose(vm, reason);
		return;
	}
	snprintf(vm->lost_reason, sizeof(vm->lost_reason), "%s", reason);
	microvm_move(vm, MICROVM_LOSING);
	uv_timer_start(&vm->timer, on_exit_reason_timeout, EXIT_REASON_WAIT_MS, 0);
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

const struct agent_events microvm_agent_events = {
	.connected = agent_connected,
	.started = agent_started,
	.output = agent_output,
	.display = agent_display,
	.done = agent_done,
	.settled = agent_settled,
	.adopted = agent_adopted,
	.failed = agent_failed,
};
