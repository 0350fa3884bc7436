#include "api/stock_policy.h"

#include <math.h>

#define HALF_LIFE_S      10.0
#define BACKOFF_FIRST_NS 1000000000ull
#define BACKOFF_LAST_NS  60000000000ull

static double rate_now(const struct stock_policy *p, uint64_t now_ns)
{
	return p->rate * exp2(-(double)(now_ns - p->rate_ns) / 1e9 / HALF_LIFE_S);
}

void stock_policy_wanted(struct stock_policy *p, uint64_t now_ns)
{
	/* Each adds so much that a steady stream of r a second settles at r. */
	p->rate = rate_now(p, now_ns) + M_LN2 / HALF_LIFE_S;
	p->rate_ns = now_ns;
}

void stock_policy_made(struct stock_policy *p, uint64_t took_ns)
{
	double took_s = (double)took_ns / 1e9;

	p->make_s = p->make_s > 0 ? 0.75 * p->make_s + 0.25 * took_s : took_s;
	p->n_failures = 0;
	p->not_before_ns = 0;
}

void stock_policy_failed(struct stock_policy *p, uint64_t now_ns)
{
	uint64_t wait_ns = BACKOFF_FIRST_NS;

	for (unsigned int i = 0; i < p->n_failures && wait_ns < BACKOFF_LAST_NS; i++)
		wait_ns *= 2;
	p->n_failures++;
	p->not_before_ns = now_ns + (wait_ns < BACKOFF_LAST_NS ? wait_ns : BACKOFF_LAST_NS);
}

uint64_t stock_policy_wait_ns(const struct stock_policy *p, uint64_t now_ns)
{
	return p->not_before_ns > now_ns ? p->not_before_ns - now_ns : 0;
}

unsigned int stock_policy_target(const struct stock_policy *p, uint64_t now_ns, unsigned int floor, unsigned int room)
{
	double demand = 2 * rate_now(p, now_ns) * p->make_s;
	unsigned int most = floor * STOCK_CAP_FACTOR;
	unsigned int target = floor;

	/* Less than half a session more is none: the tail of an old demand must end. */
	if (demand >= 0.5)
		target = demand < most - floor ? floor + (unsigned int)ceil(demand) : most;
	return target < room ? target : room;
}
