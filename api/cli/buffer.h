/* Bytes that grow up to a limit. All zero but for `limit` is an empty buffer. */
#ifndef HEARTH_API_CLI_BUFFER_H
#define HEARTH_API_CLI_BUFFER_H

#include <stddef.h>

struct buffer {
	char *data; /* always followed by a NUL byte once something was appended; NULL before */
	size_t size;
	size_t capacity;
	size_t limit; /* size never goes above it */
};

/* 0, -EMSGSIZE if the limit would be passed (nothing is appended), or -ENOMEM. */
int buffer_append(struct buffer *b, const void *data, size_t size);

/* Appends all that `fd` has, to its end. 0, -EMSGSIZE, -ENOMEM or what read(2) failed with. */
int buffer_read_all(struct buffer *b, int fd);

/* Empties it and keeps the memory. */
void buffer_clear(struct buffer *b);

/* Frees the memory. */
void buffer_fini(struct buffer *b);

#endif
