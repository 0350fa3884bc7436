/* What the options of `hearth sessionpool` say of a pool's container, as the pool's resource has it. */
#ifndef HEARTH_API_CLI_POOL_CONTAINER_H
#define HEARTH_API_CLI_POOL_CONTAINER_H

#include "options.h"

#include <jansson.h>

/* Whether any of the options is about the container that a pool runs. Its size and its secrets are not. */
bool pool_container_is_meant(const struct options *o);

/*
 * Puts properties.customContainerTemplate into the resource that is sent. `before` is what the pool has of it: as the
 * service replaces a list as a whole, what the options do not name is taken from there; NULL for a pool that is made.
 * `pool` is the pool's name, which the container has unless it is given one. 0, or negative with *err set (STATUS_USAGE).
 */
int pool_container_put(json_t *resource, const struct options *o, const json_t *before, const char *pool,
		       struct error *err);

/* Likewise properties.secrets, if the options name any. */
int pool_secrets_put(json_t *resource, const struct options *o, struct error *err);

#endif
