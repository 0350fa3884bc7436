#include "json.h"
#include "common/cleanup.h"

#include <stdbool.h>
#include <string.h>

enum {
	JSON_NUMBER_SIZE_MAX = 18, /* characters: any integer of this size fits 64 bits */
};

/* Copies `text` to `out` (same size or less) with a 0 for each number that is too long. Returns the size of the copy. */
static size_t shorten_numbers(const char *text, size_t size, char *out)
{
	bool in_string = false;
	size_t n_out = 0;

	for (size_t i = 0; i < size;) {
		size_t run = in_string ? 0 : strspn(text + i, "0123456789+-.eE");

		if (run > JSON_NUMBER_SIZE_MAX) {
			out[n_out++] = '0';
			i += run;
			continue;
		}
		if (text[i] == '"')
			in_string = !in_string;
		else if (in_string && text[i] == '\\' && i + 1 < size)
			out[n_out++] = text[i++];
		out[n_out++] = text[i++];
	}
	return n_out;
}

json_t *json_parse(const char *text, size_t size)
{
	AUTO_FREE char *copy = malloc(size + 1);

	if (!copy)
		return NULL;
	size = shorten_numbers(text, size, copy);
	return json_loadb(copy, size, JSON_ALLOW_NUL | JSON_DECODE_ANY, NULL);
}
