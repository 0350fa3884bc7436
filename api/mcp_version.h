/* Versions of the Model Context Protocol. */
#ifndef HEARTH_API_MCP_VERSION_H
#define HEARTH_API_MCP_VERSION_H

#include "api/buffer.h"

#include <stdbool.h>

bool mcp_version_is_known(const char *version);

/* True if a body of that version may have several messages. */
bool mcp_version_has_batches(const char *version);

/* Appends a JSON array of those that are known. */
void mcp_put_versions(struct buffer *out);

#endif
