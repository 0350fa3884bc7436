/*
 * Bytes that grow. The first allocation that fails sets `failed`, frees what was there and makes every later call do
 * nothing, so that a writer checks once, at its end.
 */
#ifndef HEARTH_API_BUFFER_H
#define HEARTH_API_BUFFER_H

#include <stdbool.h>
#include <stddef.h>

struct buffer {
	char *data; /* NULL while nothing was put; not terminated by NUL */
	size_t size;
	size_t capacity;
	bool failed;
};

/* Frees the bytes; the buffer is empty and usable again. */
void buffer_fini(struct buffer *b);

/* The same for secrets: overwrites the bytes before. */
void buffer_wipe(struct buffer *b);

/* Makes room for `more` further bytes. False if there is no memory. */
bool buffer_reserve(struct buffer *b, size_t more);

void buffer_put(struct buffer *b, const void *data, size_t size);
void buffer_put_text(struct buffer *b, const char *text);
void buffer_put_format(struct buffer *b, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Forgets the first `size` bytes (at most b->size). */
void buffer_drop_front(struct buffer *b, size_t size);

#endif
