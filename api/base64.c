#include "api/base64.h"

#include <errno.h>
#include <stdint.h>

static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

void base64_encode(const void *data, size_t size, struct buffer *out)
{
	const uint8_t *in = data;
	char *to;

	if (!buffer_reserve(out, (size + 2) / 3 * 4))
		return;
	to = out->data + out->size;
	for (size_t i = 0; i < size; i += 3) {
		size_t n = size - i < 3 ? size - i : 3;
		uint32_t bits = (uint32_t)in[i] << 16;

		if (n > 1)
			bits |= (uint32_t)in[i + 1] << 8;
		if (n > 2)
			bits |= in[i + 2];
		*to++ = alphabet[bits >> 18];
		*to++ = alphabet[bits >> 12 & 63];
		*to++ = n > 1 ? alphabet[bits >> 6 & 63] : '=';
		*to++ = n > 2 ? alphabet[bits & 63] : '=';
	}
	out->size = (size_t)(to - out->data);
}

static int digit_value(char c)
{
	if (c >= 'A' && c <= 'Z')
		return c - 'A';
	if (c >= 'a' && c <= 'z')
		return c - 'a' + 26;
	if (c >= '0' && c <= '9')
		return c - '0' + 52;
	return c == '+' ? 62 : c == '/' ? 63 : -1;
}

int base64_decode(const char *text, size_t size, struct buffer *out)
{
	uint32_t bits = 0;
	unsigned int n_digits = 0, n_padding = 0;

	for (size_t i = 0; i < size; i++) {
		char c = text[i];
		int value = digit_value(c);

		if (c == ' ' || c == '\t' || c == '\r' || c == '\n')
			continue;
		if (c == '=')
			n_padding++;
		else if (value < 0 || n_padding)
			return -EINVAL;
		bits = bits << 6 | (uint32_t)(value < 0 ? 0 : value);
		if (++n_digits == 4) {
			uint8_t bytes[3] = { (uint8_t)(bits >> 16), (uint8_t)(bits >> 8), (uint8_t)bits };

			if (n_padding > 2)
				return -EINVAL;
			buffer_put(out, bytes, 3 - n_padding);
			bits = 0;
			n_digits = 0;
		}
	}
	return n_digits == 0 && n_padding <= 2 ? 0 : -EINVAL;
}
