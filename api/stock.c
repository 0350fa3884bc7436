#include "api/stock.h"

#include "api/metrics.h"
#include "api/stock_policy.h"
#include "common/log.h"

#include <stdlib.h>

enum {
	REFILL_DELAY_MS =
		150, /* so that the session that was just taken has the CPU, and hearthd the time, for its first answer */
	SURPLUS_MS = 10000, /* one microVM that is too many goes each so often */
};

struct item {
	struct stock *stock;
	struct item *next;
	struct microvm *microvm;
	struct snapshot *snapshot; /* that it was made from; held */
	bool is_ready;
	uint64_t began_ns;
};

struct stock {
	struct microvm_host *host;
	struct refill *refill;
	unsigned int (*room)(void *data);
	void *data;
	struct template *template;
	struct token_source *tokens;
	const char *network;
	unsigned int floor;
	struct stock_policy policy;
	struct item *items;
	uv_timer_t timer;   /* refill, later */
	uv_timer_t surplus; /* runs while there may be too many */
};

struct stock_counts stock_count(const struct stock *stock)
{
	struct stock_counts counts = { 0 };

	for (const struct item *i = stock->items; i; i = i->next) {
		counts.n_ready += i->is_ready;
		counts.n_preparing += !i->is_ready;
	}
	counts.target = stock_policy_target(&stock->policy, uv_hrtime(), stock->floor, stock->room(stock->data));
	return counts;
}

/* Takes it out of the list and frees it; its microVM is the caller's. */
static struct microvm *remove_item(struct item *item)
{
	struct stock *stock = item->stock;
	struct microvm *vm = item->microvm;
	struct item **link = &stock->items;

	while (*link != item)
		link = &(*link)->next;
	*link = item->next;
	stock->refill->n_preparing -= !item->is_ready;
	snapshot_release(item->snapshot);
	free(item);
	return vm;
}

static void on_timer(uv_timer_t *timer)
{
	stock_refill(timer->data);
}

static void refill_in(struct stock *stock, uint64_t ms)
{
	uv_timer_start(&stock->timer, on_timer, ms, 0);
}

/* ---- one microVM ------------------------------------------------------------------------------------------------- */

static void vm_ready(void *owner)
{
	struct item *item = owner;
	struct stock *stock = item->stock;

	item->is_ready = true;
	stock->refill->n_preparing--;
	stock_policy_made(&stock->policy, uv_hrtime() - item->began_ns);
	if (stock->template)
		template_tell(stock->template, item->snapshot, "");
	stock->refill->freed(stock->refill->data);
}

static void vm_lost(void *owner, const char *reason)
{
	struct item *item = owner;
	struct stock *stock = item->stock;
	bool was_ready = item->is_ready;
	struct snapshot *snapshot = snapshot_hold(item->snapshot);

	metrics_count_error(METRICS_STOCK_LOST);
	remove_item(item);
	stock_policy_failed(&stock->policy, uv_hrtime());
	log_warn("a microVM was lost %s the stock, the next try is in %.0f s", was_ready ? "in" : "on its way to",
		 (double)stock_policy_wait_ns(&stock->policy, uv_hrtime()) / 1e9);
	if (!was_ready && stock->template)
		template_tell(stock->template, snapshot, reason);
	snapshot_release(snapshot);
	stock->refill->freed(stock->refill->data);
}

/* It runs nothing: the agent's other words would break the protocol. */
static const struct microvm_owner callbacks = { .ready = vm_ready, .lost = vm_lost };

static bool prepare_one(struct stock *stock, struct snapshot *snapshot)
{
	const struct microvm_start start = {
		.way = MICROVM_RESTORE,
		.snapshot = snapshot,
		.identity = AGENT_IDENTITY_NEW,
		.is_parked = true,
		.tokens = stock->tokens,
		.network = stock->network,
	};
	struct item *item = calloc(1, sizeof(*item));
	struct error err = { 0 };

	if (item) {
		item->stock = stock;
		item->began_ns = uv_hrtime();
		item->microvm = microvm_create(stock->host, &start, &callbacks, item, &err);
	}
	if (!item || !item->microvm) {
		log_warn("the stock cannot be refilled: %s", item ? err.text : "out of memory");
		free(item);
		stock_policy_failed(&stock->policy, uv_hrtime());
		return false;
	}
	item->snapshot = snapshot_hold(snapshot);
	item->next = stock->items;
	stock->items = item;
	stock->refill->n_preparing++;
	return true;
}

/* ---- the stock --------------------------------------------------------------------------------------------------- */

struct microvm *stock_take(struct stock *stock)
{
	struct item *oldest = NULL;
	struct microvm *vm;

	stock_policy_wanted(&stock->policy, uv_hrtime());
	for (struct item *i = stock->items; i; i = i->next)
		if (i->is_ready && !microvm_is_losing(i->microvm))
			oldest = i;
	vm = oldest ? remove_item(oldest) : NULL;
	refill_in(stock, REFILL_DELAY_MS);
	return vm;
}

/* What was made from another snapshot, or from any if there is none to use. */
static void drop_outdated(struct stock *stock, const struct snapshot *snapshot)
{
	struct item *next;

	for (struct item *i = stock->items; i; i = next) {
		next = i->next;
		if (i->snapshot != snapshot)
			microvm_destroy(remove_item(i), NULL, NULL);
	}
}

static unsigned int free_places(const struct refill *refill)
{
	unsigned int n_running = refill->n_running(refill->data);
	unsigned int limit = n_running < refill->limit ? refill->limit - n_running : 1;

	return refill->n_preparing < limit ? limit - refill->n_preparing : 0;
}

static void on_surplus(uv_timer_t *timer)
{
	struct stock *stock = timer->data;
	struct stock_counts counts = stock_count(stock);

	if (counts.n_ready > counts.target) {
		for (struct item *i = stock->items; i; i = i->next) {
			if (i->is_ready) {
				microvm_destroy(remove_item(i), NULL, NULL);
				break;
			}
		}
	}
	if (counts.n_ready <= stock->floor)
		uv_timer_stop(&stock->surplus);
}

void stock_refill(struct stock *stock)
{
	struct snapshot *snapshot;
	struct stock_counts counts;
	uint64_t wait_ns;
	unsigned int n_wanted;

	if (!stock->refill->is_open)
		return;
	snapshot = stock->template && stock->floor ? template_use(stock->template) : NULL;
	if (snapshot || !stock->floor)
		drop_outdated(stock, snapshot);
	counts = stock_count(stock);
	if (counts.n_ready > stock->floor && !uv_is_active((uv_handle_t *)&stock->surplus))
		uv_timer_start(&stock->surplus, on_surplus, SURPLUS_MS, SURPLUS_MS);
	if (!snapshot || counts.n_ready + counts.n_preparing >= counts.target)
		return;
	wait_ns = stock_policy_wait_ns(&stock->policy, uv_hrtime());
	if (wait_ns) {
		refill_in(stock, wait_ns / 1000000 + 1);
		return;
	}
	n_wanted = counts.target - counts.n_ready - counts.n_preparing;
	while (n_wanted-- && free_places(stock->refill) && prepare_one(stock, snapshot))
		;
	/* A failure to begin one waits like a failure of one. */
	wait_ns = stock_policy_wait_ns(&stock->policy, uv_hrtime());
	if (wait_ns)
		refill_in(stock, wait_ns / 1000000 + 1);
}

void stock_refill_later(struct stock *stock)
{
	if (!uv_is_active((uv_handle_t *)&stock->timer))
		refill_in(stock, REFILL_DELAY_MS);
}

struct stock *stock_create(struct microvm_host *host, struct refill *refill, unsigned int (*room)(void *data),
			   void *data)
{
	struct stock *stock = calloc(1, sizeof(*stock));

	if (!stock)
		return NULL;
	stock->host = host;
	stock->refill = refill;
	stock->room = room;
	stock->data = data;
	uv_timer_init(host->loop, &stock->timer);
	uv_timer_init(host->loop, &stock->surplus);
	stock->timer.data = stock;
	stock->surplus.data = stock;
	return stock;
}

void stock_set(struct stock *stock, struct template *template, struct token_source *tokens, const char *network,
	       unsigned int floor)
{
	if (stock->template != template || stock->tokens != tokens || stock->network != network) {
		stock->policy = (struct stock_policy) { 0 };
		drop_outdated(stock, NULL);
	}
	stock->template = template;
	stock->tokens = tokens;
	stock->network = network;
	stock->floor = floor;
	stock_refill(stock);
}

static void on_surplus_closed(uv_handle_t *handle)
{
	free(handle->data);
}

static void on_timer_closed(uv_handle_t *handle)
{
	struct stock *stock = handle->data;

	uv_close((uv_handle_t *)&stock->surplus, on_surplus_closed);
}

void stock_destroy(struct stock *stock)
{
	if (!stock)
		return;
	while (stock->items)
		microvm_destroy(remove_item(stock->items), NULL, NULL);
	uv_close((uv_handle_t *)&stock->timer, on_timer_closed);
}
