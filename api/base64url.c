#include "api/base64url.h"

#include "common/base64.h"

#include <errno.h>

ssize_t base64url_decode(const char *text, size_t size, uint8_t *out)
{
	uint32_t bits = 0;
	unsigned int n_bits = 0;
	ssize_t n = 0;

	if (size % 4 == 1)
		return -EINVAL;
	for (size_t i = 0; i < size; i++) {
		int value = base64_digit(text[i], "-_");

		if (value < 0)
			return -EINVAL;
		bits = bits << 6 | (uint32_t)value;
		n_bits += 6;
		if (n_bits < 8)
			continue;
		n_bits -= 8;
		out[n++] = (uint8_t)(bits >> n_bits);
		bits &= (1u << n_bits) - 1;
	}
	return bits == 0 ? n : -EINVAL;
}
