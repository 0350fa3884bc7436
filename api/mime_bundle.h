/* A MIME bundle as the agent sends it: one value in several representations. */
#ifndef HEARTH_API_MIME_BUNDLE_H
#define HEARTH_API_MIME_BUNDLE_H

#include "common/agent_protocol.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct mime_entry {
	char type[AGENT_MIME_TYPE_MAX + 1]; /* printable ASCII without quotation marks */
	const uint8_t *data;                /* in the body that was decoded */
	size_t size;
};

struct mime_bundle {
	struct mime_entry entries[AGENT_MIME_ENTRIES_MAX];
	size_t n_entries;
};

/* Decodes a whole body (agent_protocol.h). -EPROTO if it is not a bundle. */
int mime_bundle_decode(struct mime_bundle *bundle, const void *body, size_t size);

/* The entry of exactly that type, or NULL. */
const struct mime_entry *mime_bundle_find(const struct mime_bundle *bundle, const char *type);

/* The first raster image that browsers show (png, jpeg, gif, webp), or NULL. */
const struct mime_entry *mime_bundle_image(const struct mime_bundle *bundle);

/* True if data of that type is text, false if it is binary. */
bool mime_type_is_text(const char *type);

#endif
