/*
 * Checks of what a driver or a host claims: MIME bundles (see common/agent_protocol.h) and UTF-8.
 */
#ifndef HEARTH_AGENT_BUNDLE_H
#define HEARTH_AGENT_BUNDLE_H

#include <stdbool.h>
#include <stddef.h>

/*
 * True if `size` bytes at `data` are exactly one bundle: 1 to AGENT_MIME_ENTRIES_MAX entries, MIME types of printable
 * ASCII without spaces, the data of text and JSON types valid UTF-8.
 */
bool bundle_is_valid(const void *data, size_t size);

/* The offset of the first byte that is not UTF-8 (RFC 3629), or `size` if all of it is. */
size_t utf8_valid_length(const void *data, size_t size);

#endif
