/*
 * The stock of one pool: microVMs that were restored from its template, took an identity of their own, and wait, paused.
 * Taking one never waits; the stock refills itself in the background, a few at a time over all pools, as far as running
 * sessions leave room for it.
 */
#ifndef HEARTH_API_STOCK_H
#define HEARTH_API_STOCK_H

#include "api/microvm.h"
#include "api/template.h"

struct stock;

/* What all stocks share. */
struct refill {
	unsigned int limit; /* microVMs that may be prepared at a time; at least 1 */
	unsigned int n_preparing;
	bool is_open; /* false: nothing is prepared yet */
	/* Sessions that run code or are being started: each takes a place of the limit, all but the last. */
	unsigned int (*n_running)(void *data);
	/* A place became free: other stocks may want it. Not called from within a call. */
	void (*freed)(void *data);
	void *data;
};

struct stock_counts {
	unsigned int n_ready;
	unsigned int n_preparing;
	unsigned int target;
};

/* `room` tells how many sessions the pool may still make. NULL if there is no memory. */
struct stock *stock_create(struct microvm_host *host, struct refill *refill, unsigned int (*room)(void *data),
			   void *data);

/*
 * Sets the floor, the template (NULL: none can be had now), the tokens that code may ask for (NULL: none) and the policy
 * of the network (NULL: none; another policy is at another address, and this one lives until the next call). What was
 * made from others goes.
 */
void stock_set(struct stock *stock, struct template *template, struct token_source *tokens, const char *network,
	       unsigned int floor);

/* A ready microVM, which the caller hands over to itself (microvm_hand_over()); NULL if there is none. */
struct microvm *stock_take(struct stock *stock);

/* Looks what is missing or too much. Whenever something that it depends on may have changed. */
void stock_refill(struct stock *stock);

/* The same in a moment: what has just happened, an answer for instance, goes first. */
void stock_refill_later(struct stock *stock);

struct stock_counts stock_count(const struct stock *stock);

/* Ends what it holds and frees it, later. NULL is fine. */
void stock_destroy(struct stock *stock);

#endif
