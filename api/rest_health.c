#include "api/json_text.h"
#include "api/rest.h"

void rest_health_get(struct service *s, struct http_request *r)
{
	struct sessions_counts counts = sessions_count(s->sessions);
	struct buffer body = { 0 };

	buffer_put_format(&body, "{\"status\":\"%s\",\"version\":", s->is_stopping ? "stopping" : "ok");
	json_put_text(&body, HEARTH_VERSION);
	buffer_put_format(&body,
			  ",\"uptimeInSeconds\":%llu,\"sessions\":{\"active\":%u,\"starting\":%u,\"busy\":%u},"
			  "\"executionsQueued\":%u}\n",
			  (unsigned long long)((uv_hrtime() - s->started_ns) / 1000000000), counts.n_sessions,
			  counts.n_starting, counts.n_busy, counts.n_queued);
	http_respond(r, s->is_stopping ? 503 : 200, REST_JSON, &body);
}
