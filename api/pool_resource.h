/*
 * A pool as the resource that ARM clients know, Microsoft.App/sessionPools: from its JSON and to it, in the forms of all
 * api-versions. Property names match in any case, numbers may be texts, what is not known is ignored.
 */
#ifndef HEARTH_API_POOL_RESOURCE_H
#define HEARTH_API_POOL_RESOURCE_H

#include "api/pool_store.h"
#include "common/error.h"

#include <jansson.h>
#include <stdbool.h>

/* The versions of the ARM API that are told to clients; others are taken as well. */
#define POOL_API_VERSIONS                                                                                              \
	"2023-08-01-preview, 2023-11-02-preview, 2024-02-02-preview, 2024-08-02-preview, 2024-10-02-preview, "         \
	"2025-01-01, 2025-02-02-preview, 2025-07-01, 2025-10-02-preview, 2026-01-01, 2026-07-01"

/* Where a resource is reached, as its JSON says it. */
struct pool_address {
	const char *id;       /* the path of the resource */
	const char *endpoint; /* the URL that its data plane's routes are appended to */
};

/*
 * Puts the values that a resource's JSON has in place of those of *record, and leaves the others: over the defaults this
 * is a PUT, over what is there a PATCH. The name stays. 0, or -EINVAL with *err naming the property, and then *record is
 * half done. Does not check whether the values are allowed: pool_definition_check() does.
 */
int pool_resource_read(struct pool_record *record, const json_t *resource, struct error *err);

/*
 * The resource. `is_old_form` is for api-versions before 2025, which know no lifecycleConfiguration. NULL if there is
 * no memory; release with json_decref().
 */
json_t *pool_resource_write(const struct pool_record *record, const struct pool_address *address, bool is_old_form);

#endif
