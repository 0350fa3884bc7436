#include "api/ingress_idle.h"

#include <stdlib.h>

enum {
	IDLE_MAX = 64,
	/* Servers close what is idle after 5 s and more: a request should not meet that on its way. */
	IDLE_MS = 3000,
};

struct slot {
	struct ingress *ingress; /* NULL: free */
	uint64_t until_ms;       /* then it is closed */
};

/* Those of one session. */
struct idle {
	struct session_keepsake keepsake;
	uv_timer_t timer; /* for the one that has been idle for longest, or one that was */
	struct slot slots[IDLE_MAX];
};

static void close_slot(struct slot *slot)
{
	ingress_close(slot->ingress);
	slot->ingress = NULL;
}

static void close_all(struct idle *idle)
{
	uv_timer_stop(&idle->timer);
	for (size_t n = 0; n < IDLE_MAX; n++)
		close_slot(&idle->slots[n]);
}

static void on_timer(uv_timer_t *timer);

static void schedule(struct idle *idle)
{
	uint64_t now_ms = uv_now(idle->timer.loop), at_ms = UINT64_MAX;

	for (size_t n = 0; n < IDLE_MAX; n++)
		if (idle->slots[n].ingress && idle->slots[n].until_ms < at_ms)
			at_ms = idle->slots[n].until_ms;
	if (at_ms != UINT64_MAX)
		uv_timer_start(&idle->timer, on_timer, at_ms > now_ms ? at_ms - now_ms : 0, 0);
}

/* Each has a time of its own: a server may have a thread for each, and none for a new one as long as they last. */
static void on_timer(uv_timer_t *timer)
{
	struct idle *idle = timer->data;

	for (size_t n = 0; n < IDLE_MAX; n++)
		if (idle->slots[n].ingress && idle->slots[n].until_ms <= uv_now(timer->loop))
			close_slot(&idle->slots[n]);
	schedule(idle);
}

/* Nobody has asked: an answer that comes now would be taken for that of the next request. */
static void on_data(void *owner, const char *data, size_t size)
{
	(void)data;
	(void)size;
	close_slot(owner);
}

static void on_ended(void *owner, bool is_broken)
{
	(void)is_broken;
	close_slot(owner);
}

static const struct ingress_events events = {
	.data = on_data,
	.ended = on_ended,
};

static void on_closed(uv_handle_t *handle)
{
	free(handle->data);
}

static void on_session_ended(struct session_keepsake *keepsake)
{
	struct idle *idle = (struct idle *)keepsake; /* its first member */

	close_all(idle);
	uv_close((uv_handle_t *)&idle->timer, on_closed);
}

static void on_session_rests(struct session_keepsake *keepsake)
{
	close_all((struct idle *)keepsake);
}

static struct idle *find(const struct session_use *u)
{
	struct session_keepsake *k = session_use_kept(u);

	while (k && k->ended != on_session_ended)
		k = k->next;
	return (struct idle *)k;
}

static struct idle *create(uv_loop_t *loop, const struct session_use *u)
{
	struct idle *idle = calloc(1, sizeof(*idle));

	if (!idle)
		return NULL;
	uv_timer_init(loop, &idle->timer);
	idle->timer.data = idle;
	idle->keepsake.ended = on_session_ended;
	idle->keepsake.rests = on_session_rests;
	session_use_keep(u, &idle->keepsake);
	return idle;
}

struct ingress *ingress_idle_take(const struct session_use *u, const struct ingress_events *owners, void *owner)
{
	struct idle *idle = find(u);

	for (size_t n = 0; idle && n < IDLE_MAX; n++) {
		struct ingress *i = idle->slots[n].ingress;

		if (!i)
			continue;
		idle->slots[n].ingress = NULL;
		ingress_hand_over(i, owners, owner);
		return i;
	}
	return NULL;
}

void ingress_idle_put(uv_loop_t *loop, const struct session_use *u, struct ingress *i)
{
	struct idle *idle = find(u);

	if (!idle)
		idle = create(loop, u);
	for (size_t n = 0; idle && n < IDLE_MAX; n++) {
		if (idle->slots[n].ingress)
			continue;
		idle->slots[n] = (struct slot) { i, uv_now(loop) + IDLE_MS };
		ingress_hand_over(i, &events, &idle->slots[n]);
		ingress_pause(i, false);
		schedule(idle);
		return;
	}
	ingress_close(i);
}
