#include "api/json_text.h"
#include "api/rest.h"

static void put_pool(struct buffer *body, const struct pool *pool)
{
	struct pool_counts c = pool_count(pool);

	buffer_put_text(body, "{\"name\":");
	json_put_text(body, pool_definition_of(pool)->name);
	buffer_put_format(body,
			  ",\"template\":\"%s\",\"ready\":%u,\"preparing\":%u,\"readyTarget\":%u,\"allocated\":%u,"
			  "\"starting\":%u,\"busy\":%u,\"suspended\":%u,\"executionsQueued\":%u}",
			  c.template_state, c.n_ready, c.n_preparing, c.target, c.sessions.n_sessions,
			  c.sessions.n_starting, c.sessions.n_busy, c.sessions.n_suspended, c.sessions.n_queued);
}

/* All pools together. */
static struct sessions_counts add_up(const struct pools *pools)
{
	struct sessions_counts total = { 0 };

	for (const struct pool *p = pools_next(pools, NULL); p; p = pools_next(pools, p)) {
		struct sessions_counts c = sessions_count(pool_sessions(p));

		total.n_sessions += c.n_sessions;
		total.n_starting += c.n_starting;
		total.n_busy += c.n_busy;
		total.n_queued += c.n_queued;
	}
	return total;
}

void rest_health_get(struct service *s, struct http_request *r)
{
	struct sessions_counts counts = add_up(s->pools);
	struct buffer body = { 0 };

	buffer_put_format(&body, "{\"status\":\"%s\",\"version\":", s->is_stopping ? "stopping" : "ok");
	json_put_text(&body, HEARTH_VERSION);
	buffer_put_format(&body,
			  ",\"uptimeInSeconds\":%llu,\"sessions\":{\"active\":%u,\"starting\":%u,\"busy\":%u},"
			  "\"executionsQueued\":%u,\"pools\":[",
			  (unsigned long long)((uv_hrtime() - s->started_ns) / 1000000000), counts.n_sessions,
			  counts.n_starting, counts.n_busy, counts.n_queued);
	/* The stocks are gone when the service stops. */
	for (const struct pool *p = s->is_stopping ? NULL : pools_next(s->pools, NULL); p;) {
		put_pool(&body, p);
		p = pools_next(s->pools, p);
		buffer_put_text(&body, p ? "," : "");
	}
	buffer_put_text(&body, "]}\n");
	http_respond(r, s->is_stopping ? 503 : 200, REST_JSON, &body);
}
