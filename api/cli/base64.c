#include "base64.h"

#include <errno.h>

static int value_of(char c)
{
	if (c >= 'A' && c <= 'Z')
		return c - 'A';
	if (c >= 'a' && c <= 'z')
		return c - 'a' + 26;
	if (c >= '0' && c <= '9')
		return c - '0' + 52;
	if (c == '+')
		return 62;
	if (c == '/')
		return 63;
	return -1;
}

ssize_t base64_decode(const char *text, size_t size, uint8_t *out)
{
	uint32_t bits = 0;
	unsigned int n_characters = 0; /* of the current group of four, padding included */
	unsigned int n_padding = 0;
	ssize_t n_out = 0;

	for (size_t i = 0; i < size; i++) {
		int value = value_of(text[i]);

		if (text[i] == '\n' || text[i] == '\r' || text[i] == ' ')
			continue;
		if (text[i] == '=' && n_characters >= 2)
			n_padding++;
		else if (value < 0 || n_padding)
			return -EINVAL;
		bits = bits << 6 | (value < 0 ? 0 : (uint32_t)value);
		if (++n_characters < 4)
			continue;
		for (unsigned int byte = 0; byte < 3 - n_padding; byte++)
			out[n_out++] = (uint8_t)(bits >> (16 - 8 * byte));
		bits = 0;
		n_characters = 0;
	}
	return n_characters ? -EINVAL : n_out;
}
