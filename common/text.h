/* Beginnings and ends of texts; characters, of ASCII whatever the locale is; words among others. */
#ifndef HEARTH_COMMON_TEXT_H
#define HEARTH_COMMON_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <string.h>
#include <strings.h>

static inline bool text_begins_with(const char *text, const char *beginning)
{
	return strncmp(text, beginning, strlen(beginning)) == 0;
}

static inline bool text_ends_with(const char *text, const char *end)
{
	size_t size = strlen(text), end_size = strlen(end);

	return size >= end_size && strcmp(text + size - end_size, end) == 0;
}

static inline bool text_is_digit(char c)
{
	return c >= '0' && c <= '9';
}

static inline bool text_is_letter_or_digit(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || text_is_digit(c);
}

/* Of UTF-8. */
static inline size_t text_count_characters(const char *text)
{
	size_t n = 0;

	for (; *text; text++)
		n += ((unsigned char)*text & 0xc0) != 0x80;
	return n;
}

/* Which of the words it is, in any case; -1 if it is none of them. */
static inline int text_find_word(const char *const *words, int n_words, const char *word)
{
	for (int i = 0; i < n_words; i++)
		if (strcasecmp(words[i], word) == 0)
			return i;
	return -1;
}

#endif
