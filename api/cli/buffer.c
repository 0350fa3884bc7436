#include "buffer.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int reserve(struct buffer *b, size_t size)
{
	size_t capacity = b->capacity ? b->capacity : 256;
	char *data;

	while (capacity < size + 1)
		capacity *= 2;
	if (capacity == b->capacity)
		return 0;
	data = realloc(b->data, capacity);
	if (!data)
		return -ENOMEM;
	b->data = data;
	b->capacity = capacity;
	return 0;
}

int buffer_append(struct buffer *b, const void *data, size_t size)
{
	int ret;

	if (size > b->limit - b->size)
		return -EMSGSIZE;
	ret = reserve(b, b->size + size);
	if (ret < 0)
		return ret;
	if (size)
		memcpy(b->data + b->size, data, size);
	b->size += size;
	b->data[b->size] = '\0';
	return 0;
}

int buffer_read_all(struct buffer *b, int fd)
{
	char chunk[64 << 10];

	for (;;) {
		ssize_t n = read(fd, chunk, sizeof(chunk));
		int ret;

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		ret = buffer_append(b, chunk, (size_t)n);
		if (ret < 0 || n == 0)
			return ret;
	}
}

void buffer_clear(struct buffer *b)
{
	b->size = 0;
	if (b->data)
		b->data[0] = '\0';
}

void buffer_fini(struct buffer *b)
{
	free(b->data);
	*b = (struct buffer) { .limit = b->limit };
}
