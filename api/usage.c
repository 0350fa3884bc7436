#include "api/usage.h"

#include "api/timestamp.h"
#include "common/log.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum {
	SOON_MS = 500,       /* after an end: others may follow */
	WAITING_MAX = 20000, /* records in memory, about 12 MiB */
};

struct usage {
	struct usage_store *store;
	struct usage_settings settings;
	struct pools *pools; /* NULL: none are watched */
	uv_timer_t soon;
	uv_timer_t interval;
	int64_t forgotten_ms; /* when it was last looked for what is to be forgotten */
	struct session_usage *waiting;
	size_t n_waiting;
	size_t capacity;
};

static int write_waiting(struct usage *u, struct error *err)
{
	int rc = u->n_waiting ? usage_store_add(u->store, u->waiting, u->n_waiting, err) : 0;

	if (rc == 0)
		u->n_waiting = 0;
	return rc;
}

static void on_soon(uv_timer_t *timer)
{
	struct usage *u = timer->data;
	struct error err = { 0 };

	if (write_waiting(u, &err) == 0)
		return;
	if (err.code != EBUSY)
		log_warn_limited("%s", err.text);
	uv_timer_start(&u->soon, on_soon, 10ull * SOON_MS, 0);
}

static bool make_room(struct usage *u)
{
	size_t capacity = u->capacity ? 2 * u->capacity : 64;
	struct session_usage *larger;

	if (u->n_waiting < u->capacity)
		return true;
	if (u->n_waiting >= WAITING_MAX)
		return false;
	larger = realloc(u->waiting, capacity * sizeof(*larger));
	if (!larger)
		return false;
	u->waiting = larger;
	u->capacity = capacity;
	return true;
}

void usage_take(void *data, const struct session_usage *used)
{
	struct usage *u = data;

	if (!make_room(u)) {
		log_warn_limited("a usage record is lost: too many wait to be written");
		return;
	}
	u->waiting[u->n_waiting++] = *used;
	if (!uv_is_active((uv_handle_t *)&u->soon))
		uv_timer_start(&u->soon, on_soon, SOON_MS, 0);
}

int usage_flush(struct usage *u, struct error *err)
{
	for (struct pool *p = u->pools ? pools_next(u->pools, NULL) : NULL; p; p = pools_next(u->pools, p))
		sessions_tell_usage(pool_sessions(p));
	return write_waiting(u, err);
}

static void forget(struct usage *u)
{
	static const int64_t day_ms = 86400000;
	int64_t now_ms = timestamp_now_ms();
	struct error err = { 0 };

	if (!u->settings.keep_ms || now_ms - u->forgotten_ms < day_ms)
		return;
	if (usage_store_forget(u->store, now_ms - (int64_t)u->settings.keep_ms, &err) == 0)
		u->forgotten_ms = now_ms;
}

static void on_interval(uv_timer_t *timer)
{
	struct usage *u = timer->data;
	struct error err = { 0 };

	/* What fails here is tried again soon, and reported then. */
	if (usage_flush(u, &err) < 0 && !uv_is_active((uv_handle_t *)&u->soon))
		uv_timer_start(&u->soon, on_soon, SOON_MS, 0);
	forget(u);
}

struct usage *usage_create(uv_loop_t *loop, struct usage_store *store, const struct usage_settings *settings)
{
	struct usage *u = calloc(1, sizeof(*u));

	if (!u)
		return NULL;
	u->store = store;
	u->settings = *settings;
	uv_timer_init(loop, &u->soon);
	uv_timer_init(loop, &u->interval);
	u->soon.data = u;
	u->interval.data = u;
	return u;
}

void usage_watch(struct usage *u, struct pools *pools)
{
	u->pools = pools;
	/* Those that were taken over are open again at once. */
	uv_timer_start(&u->interval, on_interval, 0, u->settings.interval_ms);
}

static void on_interval_closed(uv_handle_t *handle)
{
	struct usage *u = handle->data;

	free(u->waiting);
	free(u);
}

static void on_soon_closed(uv_handle_t *handle)
{
	struct usage *u = handle->data;

	uv_close((uv_handle_t *)&u->interval, on_interval_closed);
}

void usage_destroy(struct usage *u)
{
	struct error err = { 0 };

	if (!u)
		return;
	if (write_waiting(u, &err) < 0)
		log_warn("%s", err.text);
	uv_close((uv_handle_t *)&u->soon, on_soon_closed);
}
