#include "api/json_text.h"

#include "api/utf8.h"
#include "common/hex.h"
#include "common/text.h"

#include <errno.h>
#include <stdint.h>
#include <string.h>

void json_put_part(struct buffer *out, const char *text, size_t size)
{
	size_t begin = 0;

	for (size_t i = 0; i < size; i++) {
		unsigned char c = (unsigned char)text[i];

		if (c >= 0x20 && c != '"' && c != '\\')
			continue;
		buffer_put(out, text + begin, i - begin);
		begin = i + 1;
		if (c == '"' || c == '\\')
			buffer_put(out, c == '"' ? "\\\"" : "\\\\", 2);
		else if (c == '\n')
			buffer_put(out, "\\n", 2);
		else if (c == '\t')
			buffer_put(out, "\\t", 2);
		else if (c == '\r')
			buffer_put(out, "\\r", 2);
		else
			buffer_put_format(out, "\\u%04x", c);
	}
	buffer_put(out, text + begin, size - begin);
}

void json_put_string(struct buffer *out, const char *text, size_t size)
{
	buffer_put(out, "\"", 1);
	json_put_part(out, text, size);
	buffer_put(out, "\"", 1);
}

void json_put_bytes(struct buffer *out, const void *data, size_t size)
{
	struct utf8_decoder decoder = { 0 };
	struct buffer text = { 0 };

	utf8_decode(&decoder, data, size, &text);
	utf8_decode_end(&decoder, &text);
	json_put_string(out, text.size ? text.data : "", text.size);
	out->failed |= text.failed;
	buffer_fini(&text);
}

void json_put_text(struct buffer *out, const char *text)
{
	if (text)
		json_put_string(out, text, strlen(text));
	else
		buffer_put_text(out, "null");
}

static size_t skip_digits(const char *text, size_t size, size_t at)
{
	while (at < size && text_is_digit(text[at]))
		at++;
	return at;
}

/* RFC 8259, section 6. */
static bool is_number(const char *text, size_t size)
{
	size_t at = size && text[0] == '-' ? 1 : 0;
	size_t begin = at;

	at = skip_digits(text, size, at);
	if (at == begin || (text[begin] == '0' && at - begin > 1))
		return false;
	if (at < size && text[at] == '.') {
		begin = ++at;
		at = skip_digits(text, size, at);
		if (at == begin)
			return false;
	}
	if (at < size && (text[at] == 'e' || text[at] == 'E')) {
		at++;
		if (at < size && (text[at] == '+' || text[at] == '-'))
			at++;
		begin = at;
		at = skip_digits(text, size, at);
		if (at == begin)
			return false;
	}
	return at == size;
}

/* The value of four hexadecimal digits at `text`, or -1. */
static int hex4(const char *text, size_t size)
{
	int value = 0;

	if (size < 4)
		return -1;
	for (int i = 0; i < 4; i++) {
		int digit = hex_value(text[i]);

		if (digit < 0)
			return -1;
		value = value * 16 + digit;
	}
	return value;
}

/* Bytes of the escape at text[0] == '\\', or 0 if it is none; *lone tells that it is half a surrogate pair. */
static size_t escape_size(const char *text, size_t size, bool *lone)
{
	int unit, second;

	*lone = false;
	if (size < 2)
		return 0;
	if (text[1] != 'u')
		return text[1] != '\0' && strchr("\"\\/bfnrt", text[1]) ? 2 : 0;
	unit = hex4(text + 2, size - 2);
	if (unit < 0)
		return 0;
	if (unit < 0xd800 || unit > 0xdfff)
		return 6;
	second = size >= 12 && text[6] == '\\' && text[7] == 'u' ? hex4(text + 8, 4) : -1;
	if (unit <= 0xdbff && second >= 0xdc00 && second <= 0xdfff)
		return 12;
	*lone = true;
	return 6;
}

/* Section 7. */
static int put_string_scalar(struct buffer *out, const char *text, size_t size)
{
	size_t begin = 0, old_size = out->size;

	if (size < 2 || text[size - 1] != '"' || !utf8_is_valid(text, size))
		return -EINVAL;
	for (size_t i = 1; i < size - 1; i++) {
		bool lone;
		size_t n;

		if (text[i] == '"' || (unsigned char)text[i] < 0x20)
			goto invalid;
		if (text[i] != '\\')
			continue;
		n = escape_size(text + i, size - 1 - i, &lone);
		if (n == 0)
			goto invalid;
		if (lone) {
			buffer_put(out, text + begin, i - begin);
			buffer_put_text(out, "\\ufffd");
			begin = i + n;
		}
		i += n - 1;
	}
	buffer_put(out, text + begin, size - begin);
	return 0;
invalid:
	if (!out->failed)
		out->size = old_size;
	return -EINVAL;
}

int json_put_scalar(struct buffer *out, const char *text, size_t size)
{
	static const char *const words[] = { "true", "false", "null" };

	if (size && text[0] == '"')
		return put_string_scalar(out, text, size);
	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
		if (size == strlen(words[i]) && memcmp(text, words[i], size) == 0) {
			buffer_put(out, text, size);
			return 0;
		}
	}
	if (!is_number(text, size))
		return -EINVAL;
	buffer_put(out, text, size);
	return 0;
}

size_t json_count_values(const char *text, size_t size)
{
	size_t count = 1;
	bool in_string = false;

	for (size_t i = 0; i < size; i++) {
		if (in_string && text[i] == '\\')
			i++;
		else if (text[i] == '"')
			in_string = !in_string;
		else if (!in_string && (text[i] == '{' || text[i] == '[' || text[i] == ','))
			count++;
	}
	return count;
}
