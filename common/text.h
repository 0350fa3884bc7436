/* Beginnings and ends of texts. */
#ifndef HEARTH_COMMON_TEXT_H
#define HEARTH_COMMON_TEXT_H

#include <stdbool.h>
#include <string.h>

static inline bool text_begins_with(const char *text, const char *beginning)
{
	return strncmp(text, beginning, strlen(beginning)) == 0;
}

static inline bool text_ends_with(const char *text, const char *end)
{
	size_t size = strlen(text), end_size = strlen(end);

	return size >= end_size && strcmp(text + size - end_size, end) == 0;
}

#endif
