/* Which requests to a pool of containers are the container's. */
#ifndef HEARTH_API_PROXY_ROUTE_H
#define HEARTH_API_PROXY_ROUTE_H

#include "api/pool_definition.h"

#include <stdbool.h>
#include <stddef.h>

/*
 * True if a request to a pool of that type goes to the container of a session. `segments` are those of its path behind
 * the pool; `names_pool`: there is a pool in its path, so that they are not routes of the whole service;
 * `has_identifier`: its query names a session.
 */
bool proxy_takes(enum pool_container_type type, bool names_pool, bool has_identifier, char *const *segments,
		 size_t n_segments);

#endif
