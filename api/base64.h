/* Base64 with the standard alphabet and padding (RFC 4648, 4). */
#ifndef HEARTH_API_BASE64_H
#define HEARTH_API_BASE64_H

#include "api/buffer.h"

#include <stddef.h>

void base64_encode(const void *data, size_t size, struct buffer *out);

/* Appends the bytes; white space between the characters is skipped. -EINVAL if the text is not base64. */
int base64_decode(const char *text, size_t size, struct buffer *out);

#endif
