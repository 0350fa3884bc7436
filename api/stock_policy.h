/*
 * How many ready microVMs a stock should hold, and when it may try to make one again. Numbers only: no clock of its own,
 * no microVM.
 *
 * The pool's readySessionInstances is the floor. Above it the stock holds what the recent demand takes while one is made,
 * twice, so that a steady stream of new sessions is served from it; the demand is forgotten by half every ten seconds.
 */
#ifndef HEARTH_API_STOCK_POLICY_H
#define HEARTH_API_STOCK_POLICY_H

#include <stdbool.h>
#include <stdint.h>

enum {
	STOCK_CAP_FACTOR = 4, /* the stock grows to so many times its floor at most */
};

struct stock_policy {
	double rate; /* new sessions a second, as of rate_ns */
	uint64_t rate_ns;
	double make_s;           /* seconds that making one takes, lately */
	unsigned int n_failures; /* in a row */
	uint64_t not_before_ns;
};

/* A session was wanted, whether the stock had one or not. */
void stock_policy_wanted(struct stock_policy *p, uint64_t now_ns);

/* One was made in that time; or could not be made. */
void stock_policy_made(struct stock_policy *p, uint64_t took_ns);
void stock_policy_failed(struct stock_policy *p, uint64_t now_ns);

/* Nanoseconds from now until one may be made: 0 at once; after failures in a row ever longer, at most a minute. */
uint64_t stock_policy_wait_ns(const struct stock_policy *p, uint64_t now_ns);

/* How many the stock should hold: at least `floor`, but never more than `room`, the sessions that the pool may still make. */
unsigned int stock_policy_target(const struct stock_policy *p, uint64_t now_ns, unsigned int floor, unsigned int room);

#endif
