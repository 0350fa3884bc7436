#include "api/container_farewell.h"

#include "common/cleanup.h"

#include <stdlib.h>

enum {
	ANSWER_MS = 1000, /* for the guest, after the container's time */
};

struct farewell {
	struct microvm *vm;
	struct container_client *client;
	uv_timer_t timer;
	void (*gone)(void *data);
	void *data;
};

static void on_closed(uv_handle_t *handle)
{
	free(handle->data);
}

static void finish(struct farewell *f)
{
	container_client_close(f->client);
	microvm_destroy(f->vm, f->gone, f->data);
	uv_close((uv_handle_t *)&f->timer, on_closed);
}

static void on_timeout(uv_timer_t *timer)
{
	finish(timer->data);
}

static void vm_lost(void *owner, const char *reason)
{
	(void)reason;
	finish(owner);
}

/* It is asked nothing that it could answer. */
static const struct microvm_owner vm_callbacks = { .lost = vm_lost };

static void client_exited(void *owner, const struct agent_container_exit *exit)
{
	(void)exit;
	finish(owner);
}

static void client_failed(void *owner, const char *reason, bool broke_protocol)
{
	(void)reason;
	(void)broke_protocol;
	finish(owner);
}

static const struct container_events client_events = {
	.exited = client_exited,
	.failed = client_failed,
};

void container_farewell(uv_loop_t *loop, struct microvm *vm, struct container_client *client, void (*gone)(void *data),
			void *data)
{
	struct farewell *f = calloc(1, sizeof(*f));

	if (!f) {
		container_client_close(client);
		microvm_destroy(vm, gone, data);
		return;
	}
	*f = (struct farewell) { .vm = vm, .client = client, .gone = gone, .data = data };
	uv_timer_init(loop, &f->timer);
	f->timer.data = f;
	uv_timer_start(&f->timer, on_timeout, CONTAINER_FAREWELL_MS + ANSWER_MS, 0);
	microvm_hand_over(vm, &vm_callbacks, f);
	container_client_hand_over(client, &client_events, f);
	if (!container_client_stop(client, CONTAINER_FAREWELL_MS))
		finish(f);
}
