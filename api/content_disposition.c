#include "api/content_disposition.h"

#include "api/utf8.h"
#include "common/base64.h"
#include "common/hex.h"

#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

/* ---- finding the parameter --------------------------------------------------------------------------------------- */

/* The value of a header up to its line's end, or NULL; the name compares in any case. */
static const char *find_header(const char *headers, const char *name, size_t *size)
{
	size_t length = strlen(name);

	while (*headers) {
		size_t line = strcspn(headers, "\n");

		if (strncasecmp(headers, name, length) == 0 &&
		    headers[length + strspn(headers + length, " \t")] == ':') {
			const char *value = strchr(headers, ':') + 1;

			*size = line - (size_t)(value - headers);
			while (*size && value[*size - 1] == '\r')
				(*size)--;
			return value;
		}
		headers += line + (headers[line] == '\n');
	}
	return NULL;
}

/* Copies a value, quoted or a token, and returns what follows it. NULL if it does not fit. */
static const char *read_value(const char *from, const char *end, char *to, size_t room)
{
	bool is_quoted = from < end && *from == '"';

	from += is_quoted;
	while (from < end && (is_quoted ? *from != '"' : !strchr("; \t", *from))) {
		/* Only these two are escaped: some clients send Windows paths with their backslashes. */
		if (is_quoted && *from == '\\' && from + 1 < end && (from[1] == '"' || from[1] == '\\'))
			from++;
		if (room-- <= 1)
			return NULL;
		*to++ = *from++;
	}
	*to = '\0';
	return from < end && is_quoted ? from + 1 : from;
}

/* The value of the parameter `name` of a header's value. */
static bool find_parameter(const char *from, size_t size, const char *name, char value[FILE_NAME_SIZE])
{
	const char *end = from + size;
	size_t length = strlen(name);

	while (from && (from = memchr(from, ';', (size_t)(end - from)))) {
		bool is_meant;

		for (from++; from < end && (*from == ' ' || *from == '\t');)
			from++;
		is_meant = (size_t)(end - from) > length && strncasecmp(from, name, length) == 0 && from[length] == '=';
		while (from < end && *from != '=' && *from != ';')
			from++;
		if (from == end || *from == ';')
			continue;
		from = read_value(from + 1, end, value, FILE_NAME_SIZE);
		if (is_meant)
			return from != NULL;
	}
	return false;
}

/* ---- decoding ---------------------------------------------------------------------------------------------------- */

/* In place. With `only`, decodes just the bytes in it. False for a NUL. */
static bool decode(char *text, char mark, const char *only)
{
	char *to = text;

	for (const char *from = text; *from; from++) {
		int high = *from == mark ? hex_value(from[1]) : -1;
		int low = high >= 0 ? hex_value(from[2]) : -1;
		char c = (char)(low < 0 ? 0 : high << 4 | low);

		if (low < 0 || (only && (!c || !strchr(only, c)))) {
			*to++ = *from;
			continue;
		}
		if (!c)
			return false;
		*to++ = c;
		from += 2;
	}
	*to = '\0';
	return true;
}

/* RFC 5987: charset'language'percent-encoded. False unless it is UTF-8. */
static bool decode_extended(char value[FILE_NAME_SIZE])
{
	char *text = strncasecmp(value, "utf-8'", 6) == 0 ? strchr(value + 6, '\'') : NULL;

	if (!text)
		return false;
	memmove(value, text + 1, strlen(text));
	return decode(value, '%', NULL) && *value && utf8_is_valid(value, strlen(value));
}

static bool decode_base64(char *text, size_t size)
{
	uint8_t bytes[FILE_NAME_SIZE];
	ssize_t n = base64_decode(text, size, bytes);

	if (n < 0 || memchr(bytes, '\0', (size_t)n))
		return false;
	memcpy(text, bytes, (size_t)n);
	text[n] = '\0';
	return true;
}

static bool decode_quoted(char *text, size_t size)
{
	text[size] = '\0';
	for (char *c = text; *c; c++)
		if (*c == '_')
			*c = ' ';
	return decode(text, '=', NULL);
}

/* RFC 2047: =?utf-8?B?…?= or =?utf-8?Q?…?=. Leaves it as it is if it is no such word. */
static void decode_word(char value[FILE_NAME_SIZE])
{
	char copy[FILE_NAME_SIZE];
	size_t length = strlen(value);
	bool is_base64 = strncasecmp(value, "=?utf-8?b?", 10) == 0;

	if (length < 12 || strcmp(value + length - 2, "?=") != 0 ||
	    (!is_base64 && strncasecmp(value, "=?utf-8?q?", 10) != 0))
		return;
	snprintf(copy, sizeof(copy), "%s", value + 10);
	length -= 12;
	if ((is_base64 ? decode_base64(copy, length) : decode_quoted(copy, length)) &&
	    utf8_is_valid(copy, strlen(copy)))
		snprintf(value, FILE_NAME_SIZE, "%s", copy);
}

static bool decode_plain(char value[FILE_NAME_SIZE], bool decodes_percent)
{
	char copy[FILE_NAME_SIZE];

	decode_word(value);
	if (decodes_percent) {
		snprintf(copy, sizeof(copy), "%s", value);
		if (decode(copy, '%', NULL) && utf8_is_valid(copy, strlen(copy))) {
			snprintf(value, FILE_NAME_SIZE, "%s", copy);
			return true;
		}
	}
	return decode(value, '%', "\"\r\n"); /* what browsers encode, and nothing else */
}

bool content_disposition_file_name(const char *headers, bool decodes_percent, char name[FILE_NAME_SIZE])
{
	size_t size;
	const char *value = find_header(headers, "Content-Disposition", &size);

	if (!value)
		return false;
	if (find_parameter(value, size, "filename*", name) && decode_extended(name))
		return true;
	return find_parameter(value, size, "filename", name) && decode_plain(name, decodes_percent);
}
