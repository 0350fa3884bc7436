/* Hexadecimal digits. */
#ifndef HEARTH_COMMON_HEX_H
#define HEARTH_COMMON_HEX_H

#include <stddef.h>
#include <stdint.h>

/* The value of a digit in either case, or -1. */
static inline int hex_value(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c = (char)(c | 0x20);
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* Writes two digits for each byte, in lower case, and NUL. */
static inline void hex_write(char *out, const uint8_t *bytes, size_t n)
{
	static const char digits[] = "0123456789abcdef";

	for (size_t i = 0; i < n; i++) {
		*out++ = digits[bytes[i] >> 4];
		*out++ = digits[bytes[i] & 15];
	}
	*out = '\0';
}

#endif
