/* Where a pool is reached, in the terms in which a request reached it: ids and endpoints of its resource. */
#ifndef HEARTH_API_POOL_ADDRESS_H
#define HEARTH_API_POOL_ADDRESS_H

#include "api/buffer.h"
#include "api/http_request.h"

/*
 * Appends the resource's id: /subscriptions/…/resourceGroups/…/providers/Microsoft.App/sessionPools/<name> for a request
 * that came by such a path (the group is "default" where the path names none), /sessionPools/<name> for a short one.
 */
void pool_address_put_id(struct buffer *out, const struct http_request *r, const char *name);

/*
 * Appends the scheme and host by which the client got here, or nothing if it names no host. Behind a proxy,
 * X-Forwarded-Proto says the scheme, where it differs, and Host must be passed on.
 */
void pool_address_put_origin(struct buffer *out, const struct http_request *r);

/* Appends the endpoint of its data plane: that origin, and a path like Azure's. */
void pool_address_put_endpoint(struct buffer *out, const struct http_request *r, const char *name);

#endif
