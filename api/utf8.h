/* UTF-8 as RFC 3629 defines it: no surrogates, nothing above U+10FFFF, no overlong forms. */
#ifndef HEARTH_API_UTF8_H
#define HEARTH_API_UTF8_H

#include "api/buffer.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Where a stream of chunks stands; a character may be cut by the border between two. All zero at the start. */
struct utf8_decoder {
	uint8_t pending[4]; /* the bytes of a character that is not complete */
	uint8_t n_pending;
	uint8_t n_needed; /* bytes of that character in all */
	uint8_t lowest;   /* bounds of the next byte */
	uint8_t highest;
};

/*
 * Appends the characters of the chunk to `out`. Each maximal part of an ill-formed sequence becomes one U+FFFD
 * (Unicode 15, 3.9, U+FFFD substitution of maximal subparts).
 */
void utf8_decode(struct utf8_decoder *d, const void *data, size_t size, struct buffer *out);

/* The stream ends here: a character that is still incomplete becomes U+FFFD. */
void utf8_decode_end(struct utf8_decoder *d, struct buffer *out);

bool utf8_is_valid(const void *data, size_t size);

#endif
