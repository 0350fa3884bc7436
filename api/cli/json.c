#include "json.h"
#include "common/cleanup.h"

#include <errno.h>
#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
	INTEGER_SIZE_MAX = 18, /* characters: any integer of this size fits 64 bits */
	REAL_SIZE_MAX = 24,    /* characters of any double as "%.16e" */
};

/* Is it an integer, and nothing else, as JSON writes them? */
static bool is_integer(const char *text, size_t size)
{
	size_t sign = size && text[0] == '-';
	size_t n_digits = strspn(text + sign, "0123456789");

	return n_digits && sign + n_digits == size && (text[sign] != '0' || n_digits == 1);
}

/* An integer that jansson refuses, as the nearest real number. Returns its size; 0 if jansson takes the text as it is. */
static size_t put_long_integer(const char *text, size_t size, char *out)
{
	char real[REAL_SIZE_MAX + 1];
	double value;

	if (size <= INTEGER_SIZE_MAX || !is_integer(text, size))
		return 0;
	errno = 0;
	(void)strtoll(text, NULL, 10);
	if (errno != ERANGE)
		return 0;
	value = strtod(text, NULL);
	if (isinf(value))
		value = value < 0 ? -1e308 : 1e308;
	size = (size_t)snprintf(real, sizeof(real), "%.16e", value);
	memcpy(out, real, size);
	return size;
}

/* Copies `text`, which ends with a 0 byte, with a real number for each integer beyond 64 bits. Returns the copy's size. */
static size_t copy_with_reals(const char *text, size_t size, char *out)
{
	bool in_string = false;
	size_t n_out = 0;

	for (size_t i = 0; i < size;) {
		size_t run = in_string ? 0 : strspn(text + i, "0123456789+-.eE");
		size_t n_real = run ? put_long_integer(text + i, run, out + n_out) : 0;

		if (run) {
			if (!n_real)
				memcpy(out + n_out, text + i, run);
			n_out += n_real ? n_real : run;
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
	/* A real is at most REAL_SIZE_MAX characters, in the place of more than INTEGER_SIZE_MAX. */
	AUTO_FREE char *copy = malloc(size + size / 2 + 1);

	if (!copy)
		return NULL;
	size = copy_with_reals(text, size, copy);
	return json_loadb(copy, size, JSON_ALLOW_NUL | JSON_DECODE_ANY, NULL);
}
