/* What a session uses: time of its machine, and executions. */
#include "api/session_usage.h"
#include "api/session_private.h"

#include <stdio.h>
#include <string.h>

void session_account(struct session *s)
{
	uint64_t now_ns = uv_hrtime(), us = (now_ns - s->usage.since_ns) / 1000;

	if (s->microvm) {
		s->usage.vcpu_us += us * microvm_shape_of(s->microvm)->n_vcpus;
		s->usage.mib_us += us * microvm_shape_of(s->microvm)->memory_mib;
	}
	s->usage.since_ns = now_ns;
}

void session_tell_usage(struct session *s, bool is_over, const char *reason)
{
	const struct sessions_settings *settings = &s->all->settings;
	struct session_usage u = {
		.begin_ms = s->created_ms,
		.until_ms = timestamp_now_ms(),
		.is_over = is_over,
		.vcpu_us = s->usage.vcpu_us,
		.mib_us = s->usage.mib_us,
		.ran_us = s->usage.ran_us,
		.n_executions = s->usage.n_executions,
	};

	if (!settings->used)
		return;
	memcpy(u.guid, s->guid, sizeof(u.guid));
	memcpy(u.pool, s->pool, sizeof(u.pool));
	snprintf(u.identifier, sizeof(u.identifier), "%s", s->identifier);
	snprintf(u.reason, sizeof(u.reason), "%s", reason);
	s->usage.vcpu_us = s->usage.mib_us = s->usage.ran_us = s->usage.n_executions = 0;
	s->usage.is_told = true;
	settings->used(settings->used_data, &u);
}

void sessions_tell_usage(struct sessions *all)
{
	for (struct session *s = all->list; s; s = s->next) {
		session_account(s);
		/* A suspended one uses nothing. */
		if (s->microvm || s->usage.n_executions || !s->usage.is_told)
			session_tell_usage(s, false, "");
	}
}
