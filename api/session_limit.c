/* What a session may take: the limits of its pool, how often it may be asked, and the CPU beside others. */
#include "api/session_private.h"

#include <stdio.h>

enum {
	FOREGROUND_MS = 1000, /* what takes longer is work that nobody misses a moment of */
};

void session_limit(struct session *s)
{
	microvm_limit(s->microvm, &s->all->rules.limits);
	/* Code may run in it already. */
	session_enter_foreground(s);
}

static void on_foreground_over(uv_timer_t *timer)
{
	struct session *s = timer->data;

	if (s->microvm)
		microvm_set_background(s->microvm, true);
}

void session_enter_foreground(struct session *s)
{
	microvm_set_background(s->microvm, false);
	uv_timer_start(&s->foreground, on_foreground_over, FOREGROUND_MS, 0);
}

void session_stay_in_foreground(struct session *s)
{
	microvm_set_background(s->microvm, false);
	uv_timer_stop(&s->foreground);
}

static int refuse(struct sessions *all, const char *whose, const char *limit, uint32_t rate, uint64_t wait_ns,
		  struct error *err)
{
	all->rate_wait_s = (unsigned int)(wait_ns / 1000000000) + 1;
	return error_set(
		err, SESSIONS_TOO_FAST,
		"There are more requests to %s than the %u a minute that it may have (sessionLimits.%s). Try again "
		"in %u seconds.",
		whose, rate, limit, all->rate_wait_s);
}

int session_admit(struct sessions *all, struct session *s, struct error *err)
{
	const uint64_t now_ns = uv_hrtime();
	uint64_t wait_ns = s ? rate_limit_take(&s->rate, all->rules.session_rate, now_ns) : 0;

	if (wait_ns)
		return refuse(all, "this session", "sessionRequestsPerMinute", all->rules.session_rate, wait_ns, err);
	wait_ns = rate_limit_take(&all->rate, all->rules.pool_rate, now_ns);
	if (wait_ns)
		return refuse(all, "this pool", "poolRequestsPerMinute", all->rules.pool_rate, wait_ns, err);
	return 0;
}

unsigned int sessions_rate_wait_s(const struct sessions *all)
{
	return all->rate_wait_s;
}
