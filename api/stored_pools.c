#include "api/stored_pools.h"

#include "common/log.h"

#include <errno.h>
#include <stdlib.h>
#include <strings.h>

/* All definitions are read before the first pool runs: one that cannot be read leaves nothing to undo. */
struct definitions {
	struct pool_definition *items;
	size_t n;
	bool failed;
};

static void add(void *data, const struct pool_record *record)
{
	struct definitions *all = data;
	struct pool_definition *longer = reallocarray(all->items, all->n + 1, sizeof(*longer));

	if (!longer) {
		all->failed = true;
		return;
	}
	all->items = longer;
	all->items[all->n++] = record->definition;
}

static int put(struct pools *pools, const struct pool_definition *definition)
{
	struct error err = { 0 };

	if (pools_put(pools, definition, &err) == 0)
		return 0;
	log_error("pool=%s cannot run: %s", definition->name, err.text);
	pools_set_aside(pools, definition->name);
	return -err.code;
}

static const struct pool_definition *find_default(const struct definitions *all)
{
	for (size_t i = 0; i < all->n; i++)
		if (strcasecmp(all->items[i].name, POOL_DEFAULT_NAME) == 0)
			return &all->items[i];
	return NULL;
}

/* The default one comes first, and at the worst runs as it would without a store. */
static int start(struct pools *pools, const struct definitions *all, const struct pool_definition *standard,
		 struct error *err)
{
	const struct pool_definition *stored = find_default(all);

	if ((!stored || put(pools, stored) < 0) && pools_put(pools, standard, err) < 0)
		return -err->code;
	for (size_t i = 0; i < all->n; i++)
		if (&all->items[i] != stored)
			put(pools, &all->items[i]);
	return 0;
}

int stored_pools_start(struct pools *pools, struct pool_store *store, const struct pool_definition *standard,
		       struct error *err)
{
	struct definitions all = { 0 };
	int rc = pool_store_load(store, add, &all, err);

	if (rc == 0)
		rc = all.failed ? error_set(err, ENOMEM, "out of memory") : start(pools, &all, standard, err);
	free(all.items);
	return rc;
}
