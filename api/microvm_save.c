/*
 * How a microVM is saved: its agent's connection is closed (a snapshot without connections needs no reset of the vsock
 * device when it is restored), then it is paused, written by its VMM, and resumed unless it is to end.
 */
#include "api/container_spec.h"
#include "api/microvm_private.h"
#include "common/log.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

enum {
	POLL_MS = 5,                   /* between two looks at the guest's connections */
	DISCONNECT_TIMEOUT_MS = 10000, /* for the guest to close its end */
};

/* Gives up on the snapshot, not on the microVM. It runs. */
static void give_up(struct microvm *vm, const char *problem)
{
	snprintf(vm->save_problem, sizeof(vm->save_problem), "%s", problem);
	log_warn("vm=%s cannot be saved: %s", vm->id, problem);
	microvm_connect_agent(vm);
}

static void on_poll(uv_timer_t *timer)
{
	struct microvm *vm = timer->data;

	microvm_order(vm, VMM_QUERY);
}

static void on_save_timeout(uv_timer_t *timer)
{
	struct microvm *vm = timer->data;

	if (vm->state == MICROVM_DISCONNECTING) {
		uv_timer_stop(&vm->poll);
		give_up(vm, "the guest did not close its connections in time");
	} else {
		microvm_lose(vm, "its snapshot was not written in time");
	}
}

int microvm_add_disks(const struct microvm *vm, const struct snapshot_writer *w, struct error *err)
{
	for (unsigned int i = 0; vm->container && i < container_spec_n_disks(vm->container); i++) {
		int rc = snapshot_writer_add_disk(w, i, container_spec_disk(vm->container, i));

		if (rc < 0)
			return error_set(err, -rc, "cannot link %s into a snapshot: %s",
					 container_spec_disk(vm->container, i), strerror(-rc));
	}
	return 0;
}

void microvm_save(struct microvm *vm, const struct snapshot_writer *w, bool is_end)
{
	if (microvm_is_losing(vm))
		return;
	vm->writer = w;
	vm->is_save_end = is_end;
	vm->save_problem[0] = '\0';
	vm->save_began_ns = uv_hrtime();
	agent_client_close(vm->agent);
	vm->agent = NULL;
	microvm_move(vm, MICROVM_DISCONNECTING);
	uv_timer_start(&vm->timer, on_save_timeout, DISCONNECT_TIMEOUT_MS, 0);
	microvm_order(vm, VMM_QUERY);
}

static void on_queried(struct microvm *vm, const char *text)
{
	if (vmm_answer_number(text, "connections") != 0) {
		uv_timer_start(&vm->poll, on_poll, POLL_MS, 0);
		return;
	}
	microvm_move(vm, MICROVM_PAUSING);
	uv_timer_start(&vm->timer, on_save_timeout, vm->host->boot_timeout_ms, 0);
	microvm_order(vm, VMM_PAUSE);
}

static void on_paused(struct microvm *vm)
{
	int rc = vmm_client_order_snapshot(vm->vmm, vm->writer->state_fd, vm->writer->memory_fd);

	microvm_move(vm, MICROVM_SAVING);
	if (rc < 0)
		microvm_lose(vm, "hearth-vmm cannot be given orders");
}

static void on_written(struct microvm *vm, int status, const char *text)
{
	if (status)
		snprintf(vm->save_problem, sizeof(vm->save_problem), "%s", text[0] ? text : strerror(status));
	else
		log_info("vm=%s saved took_ms=%.1f to=%s", vm->id, (double)(uv_hrtime() - vm->save_began_ns) / 1e6,
			 vm->writer->folder);
	if (status == 0 && vm->is_save_end) {
		microvm_move(vm, MICROVM_SAVED);
		microvm_save_finish(vm);
		return;
	}
	microvm_move(vm, MICROVM_RESUMING);
	microvm_order(vm, VMM_RESUME);
}

void microvm_save_answered(struct microvm *vm, enum vmm_message_type order, int status, const char *text)
{
	if (order != VMM_SNAPSHOT && status != 0) {
		char reason[320];

		snprintf(reason, sizeof(reason), "hearth-vmm cannot %s it: %s",
			 order == VMM_PAUSE ? "pause" : "tell of", text[0] ? text : strerror(status));
		microvm_lose(vm, reason);
	} else if (vm->state == MICROVM_DISCONNECTING && order == VMM_QUERY) {
		on_queried(vm, text);
	} else if (vm->state == MICROVM_PAUSING && order == VMM_PAUSE) {
		on_paused(vm);
	} else if (vm->state == MICROVM_SAVING && order == VMM_SNAPSHOT) {
		on_written(vm, status, text);
	}
}

/* It is over: saved and paused, or as it was before. */
void microvm_save_finish(struct microvm *vm)
{
	uv_timer_stop(&vm->timer);
	vm->writer = NULL;
	if (vm->callbacks)
		vm->callbacks->saved(vm->owner, vm->save_problem[0] ? vm->save_problem : NULL);
}
