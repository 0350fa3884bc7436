/* Base64 with the alphabet for URLs and without padding (RFC 7515, 2), as tokens and keys have it. */
#ifndef HEARTH_API_BASE64URL_H
#define HEARTH_API_BASE64URL_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* Room that base64url_decode() needs for `size` characters, in bytes. */
static inline size_t base64url_decoded_size(size_t size)
{
	return size / 4 * 3 + (size % 4 ? size % 4 - 1 : 0);
}

/*
 * Decodes `size` characters into `out`. Returns the number of bytes, or -EINVAL for whatever an encoder would not have
 * written: other characters, padding, a length that none has, bits behind the last byte.
 */
ssize_t base64url_decode(const char *text, size_t size, uint8_t *out);

#endif
