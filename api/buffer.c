#include "api/buffer.h"

#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void buffer_fini(struct buffer *b)
{
	free(b->data);
	*b = (struct buffer) { 0 };
}

void buffer_wipe(struct buffer *b)
{
	if (b->data)
		explicit_bzero(b->data, b->size);
	buffer_fini(b);
}

bool buffer_reserve(struct buffer *b, size_t more)
{
	size_t capacity = b->capacity ? b->capacity : 256;
	char *data;

	if (b->failed)
		return false;
	if (more <= b->capacity - b->size)
		return true;
	while (capacity - b->size < more && capacity <= SIZE_MAX / 2)
		capacity *= 2;
	data = capacity - b->size < more ? NULL : realloc(b->data, capacity);
	if (!data) {
		buffer_fini(b);
		b->failed = true;
		return false;
	}
	b->data = data;
	b->capacity = capacity;
	return true;
}

void buffer_put(struct buffer *b, const void *data, size_t size)
{
	if (size == 0 || !buffer_reserve(b, size))
		return;
	memcpy(b->data + b->size, data, size);
	b->size += size;
}

void buffer_put_text(struct buffer *b, const char *text)
{
	buffer_put(b, text, strlen(text));
}

void buffer_put_format(struct buffer *b, const char *format, ...)
{
	char text[1024];
	va_list args;
	int length;

	va_start(args, format);
	length = vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	if (length < 0)
		return;
	if (length < (int)sizeof(text)) {
		buffer_put(b, text, (size_t)length);
		return;
	}
	if (!buffer_reserve(b, (size_t)length + 1))
		return;
	va_start(args, format);
	vsnprintf(b->data + b->size, (size_t)length + 1, format, args);
	va_end(args);
	b->size += (size_t)length;
}

void buffer_drop_front(struct buffer *b, size_t size)
{
	if (size < b->size)
		memmove(b->data, b->data + size, b->size - size);
	b->size -= size;
}
