/*
 * What a pool of custom containers runs, as its resource has it (customContainerTemplate), and the secrets that its
 * environment may name: checked, and written again in one form. Kept as the texts of JSON in struct pool_definition.
 */
#ifndef HEARTH_API_CONTAINER_TEMPLATE_H
#define HEARTH_API_CONTAINER_TEMPLATE_H

#include "api/pool_definition.h"
#include "common/error.h"

#include <jansson.h>

enum {
	CONTAINER_ARGUMENTS_MAX = 128, /* of command, and of args */
	CONTAINER_ENVIRONMENT_MAX = 128,
	CONTAINER_PROBES_MAX = 8,
	CONTAINER_SECRETS_MAX = 64,
};

/*
 * Puts what a resource's properties say of either into *d: over a template that is there it is a merge (RFC 7396). Of the
 * container's resources nothing is kept here. 0, or -EINVAL with *err naming the property.
 */
int container_template_read(struct pool_definition *d, const json_t *properties, struct error *err);

/* The template as an object, for the caller to release; NULL if there is none. */
json_t *container_template_json(const struct pool_definition *d);

/* The secrets, each with its value, as an object that container_secrets_close() overwrites and releases. */
json_t *container_secrets_open(const struct pool_definition *d);
void container_secrets_close(json_t *secrets);

/* The names of the secrets, as objects of an array, for the caller to release: values are never shown. */
json_t *container_secrets_json(const struct pool_definition *d);

#endif
