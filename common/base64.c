#include "common/base64.h"

#include <errno.h>

static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

void base64_encode(const void *data, size_t size, char *out)
{
	const uint8_t *in = data;

	for (size_t i = 0; i < size; i += 3) {
		size_t n = size - i < 3 ? size - i : 3;
		uint32_t bits = (uint32_t)in[i] << 16;

		if (n > 1)
			bits |= (uint32_t)in[i + 1] << 8;
		if (n > 2)
			bits |= in[i + 2];
		*out++ = alphabet[bits >> 18];
		*out++ = alphabet[bits >> 12 & 63];
		*out++ = n > 1 ? alphabet[bits >> 6 & 63] : '=';
		*out++ = n > 2 ? alphabet[bits & 63] : '=';
	}
}

int base64_digit(char c, const char last_two[2])
{
	if (c >= 'A' && c <= 'Z')
		return c - 'A';
	if (c >= 'a' && c <= 'z')
		return c - 'a' + 26;
	if (c >= '0' && c <= '9')
		return c - '0' + 52;
	return c == last_two[0] ? 62 : c == last_two[1] ? 63 : -1;
}

ssize_t base64_decode(const char *text, size_t size, uint8_t *out)
{
	uint32_t bits = 0;
	unsigned int n_digits = 0; /* of the current group of four, padding included */
	unsigned int n_padding = 0;
	ssize_t n_out = 0;

	for (size_t i = 0; i < size; i++) {
		char c = text[i];
		int value = base64_digit(c, "+/");

		if (c == ' ' || c == '\t' || c == '\r' || c == '\n')
			continue;
		if (c == '=' && n_digits >= 2)
			n_padding++;
		else if (value < 0 || n_padding)
			return -EINVAL;
		bits = bits << 6 | (uint32_t)(value < 0 ? 0 : value);
		if (++n_digits < 4)
			continue;
		for (unsigned int byte = 0; byte < 3 - n_padding; byte++)
			out[n_out++] = (uint8_t)(bits >> (16 - 8 * byte));
		bits = 0;
		n_digits = 0;
	}
	return n_digits ? -EINVAL : n_out;
}
