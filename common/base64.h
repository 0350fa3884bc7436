/* Base64 with the standard alphabet and padding (RFC 4648, 4). */
#ifndef HEARTH_COMMON_BASE64_H
#define HEARTH_COMMON_BASE64_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* Characters for `size` bytes; there is no NUL behind them. */
static inline size_t base64_encoded_size(size_t size)
{
	return size / 3 * 4 + (size % 3 ? 4 : 0);
}

/* Fills `out`, which has room for base64_encoded_size(size) characters. */
void base64_encode(const void *data, size_t size, char *out);

/* The value of a digit of an alphabet whose last two digits those are, or -1 (RFC 4648, 4 and 5). */
int base64_digit(char c, const char last_two[2]);

/* Room that base64_decode() needs for `size` characters, in bytes. */
static inline size_t base64_decoded_size_max(size_t size)
{
	return size / 4 * 3 + 3;
}

/*
 * Decodes `size` characters into `out`, which has room for base64_decoded_size_max(size) bytes; white space between
 * them is skipped. Returns the number of bytes, or -EINVAL for anything that is not base64 with its padding.
 */
ssize_t base64_decode(const char *text, size_t size, uint8_t *out);

#endif
