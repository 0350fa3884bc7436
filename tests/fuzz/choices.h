/*
 * What a fuzzer's bytes decide: numbers taken from them one after the other, so that a changed byte changes one decision
 * and a shorter input is a shorter run.
 */
#ifndef HEARTH_TESTS_CHOICES_H
#define HEARTH_TESTS_CHOICES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct choices {
	const uint8_t *data;
	size_t size;
};

static inline bool choices_are_over(const struct choices *c)
{
	return c->size == 0;
}

/* The next `width` bytes as a number; what is missing is zero. */
static inline uint64_t choose(struct choices *c, size_t width)
{
	uint64_t value = 0;

	for (size_t i = 0; i < width && c->size > 0; i++, c->data++, c->size--)
		value |= (uint64_t)*c->data << (8 * i);
	return value;
}

/* A number below n, from no more bytes than that needs. */
static inline uint32_t choose_below(struct choices *c, uint32_t n)
{
	return (uint32_t)(choose(c, n <= 0x100 ? 1 : n <= 0x10000 ? 2 : 4) % n);
}

/* True once in n times, n up to 65536, if the bytes are random; never when they are over. */
static inline bool choose_rarely(struct choices *c, uint32_t n)
{
	return !choices_are_over(c) && choose_below(c, n) == n - 1;
}

/* Up to `max` bytes as they stand. */
static inline const uint8_t *choose_bytes(struct choices *c, size_t max, size_t *size)
{
	const uint8_t *bytes = c->data;

	*size = max < c->size ? max : c->size;
	c->data += *size;
	c->size -= *size;
	return bytes;
}

#endif
