/* The pools that were created, brought to life at the start. */
#ifndef HEARTH_API_STORED_POOLS_H
#define HEARTH_API_STORED_POOLS_H

#include "api/pool_store.h"
#include "api/pools.h"

/*
 * Makes the default pool and every pool of the store run. `standard` is the default one's definition where the store has
 * none. A pool that cannot run (its template is gone, say) is logged and left out, but stays in the store. 0, or
 * negative with *err filled if the store cannot be read, and then no pool runs, or if the default one cannot run.
 */
int stored_pools_start(struct pools *pools, struct pool_store *store, const struct pool_definition *standard,
		       struct error *err);

#endif
