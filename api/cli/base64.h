/* Base64 (RFC 4648, 4). */
#ifndef HEARTH_API_CLI_BASE64_H
#define HEARTH_API_CLI_BASE64_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/*
 * Decodes `size` characters into `out`, which has room for size / 4 * 3 + 3 bytes; line breaks and spaces between them
 * are skipped. Returns the number of bytes, or -EINVAL for anything that is not base64 with its padding.
 */
ssize_t base64_decode(const char *text, size_t size, uint8_t *out);

#endif
