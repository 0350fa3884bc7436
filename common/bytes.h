/*
 * A bounded cursor over bytes: puts and gets fixed-width little-endian values. The first overrun sets `failed` and
 * every later call does nothing, so a decoder checks once, at its end. Never cast a buffer to a struct instead.
 */
#ifndef HEARTH_COMMON_BYTES_H
#define HEARTH_COMMON_BYTES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct bytes {
	uint8_t *data;
	size_t size;     /* of data, in bytes */
	size_t position; /* next byte to put or get; never above size */
	bool failed;
};

static inline struct bytes bytes_over(void *data, size_t size)
{
	return (struct bytes) { .data = data, .size = size };
}

/* For decoding only: nothing may be put. */
static inline struct bytes bytes_from(const void *data, size_t size)
{
	union {
		const void *in;
		void *out;
	} cast = { .in = data };

	return bytes_over(cast.out, size);
}

/* The next `count` bytes, or NULL and `failed` if there are fewer. */
static inline uint8_t *bytes_take(struct bytes *b, size_t count)
{
	if (b->failed || count > b->size - b->position) {
		b->failed = true;
		return NULL;
	}
	b->position += count;
	return b->data + b->position - count;
}

static inline size_t bytes_left(const struct bytes *b)
{
	return b->failed ? 0 : b->size - b->position;
}

static inline void bytes_put(struct bytes *b, const void *data, size_t count)
{
	uint8_t *to = bytes_take(b, count);

	if (to && count)
		memcpy(to, data, count);
}

static inline void bytes_put_uint(struct bytes *b, uint64_t value, size_t width)
{
	uint8_t *to = bytes_take(b, width);

	for (size_t i = 0; to && i < width; i++)
		to[i] = (uint8_t)(value >> (8 * i));
}

/* 0 if there are too few bytes (and `failed` is set). */
static inline uint64_t bytes_get_uint(struct bytes *b, size_t width)
{
	const uint8_t *from = bytes_take(b, width);
	uint64_t value = 0;

	for (size_t i = 0; from && i < width; i++)
		value |= (uint64_t)from[i] << (8 * i);
	return value;
}

static inline uint8_t bytes_get_u8(struct bytes *b)
{
	return (uint8_t)bytes_get_uint(b, 1);
}

static inline uint16_t bytes_get_u16(struct bytes *b)
{
	return (uint16_t)bytes_get_uint(b, 2);
}

static inline uint32_t bytes_get_u32(struct bytes *b)
{
	return (uint32_t)bytes_get_uint(b, 4);
}

static inline uint64_t bytes_get_u64(struct bytes *b)
{
	return bytes_get_uint(b, 8);
}

static inline void bytes_put_u8(struct bytes *b, uint8_t value)
{
	bytes_put_uint(b, value, 1);
}

static inline void bytes_put_u16(struct bytes *b, uint16_t value)
{
	bytes_put_uint(b, value, 2);
}

static inline void bytes_put_u32(struct bytes *b, uint32_t value)
{
	bytes_put_uint(b, value, 4);
}

static inline void bytes_put_u64(struct bytes *b, uint64_t value)
{
	bytes_put_uint(b, value, 8);
}

#endif
