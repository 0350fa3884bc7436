#include "api/http_fields.h"

#include "common/text.h"

#include <string.h>
#include <strings.h>

enum {
	LENGTH_DIGITS_MAX = 18,
};

bool http_is_token(const char *text, size_t size)
{
	static const char others[] = "!#$%&'*+-.^_`|~";

	for (size_t i = 0; i < size; i++)
		if (!text_is_letter_or_digit(text[i]) && !memchr(others, text[i], sizeof(others) - 1))
			return false;
	return size > 0;
}

bool http_is_field_value(const char *text, size_t size)
{
	for (size_t i = 0; i < size; i++) {
		unsigned char c = (unsigned char)text[i];

		if ((c < 0x20 && c != '\t') || c == 0x7f)
			return false;
	}
	return true;
}

bool http_is_length(const char *value)
{
	size_t n = strspn(value, "0123456789");

	return n > 0 && n <= LENGTH_DIGITS_MAX && !value[n];
}

bool http_list_has(const char *list, const char *token)
{
	size_t length = strlen(token);

	while (*list) {
		size_t n;

		list += strspn(list, ", \t");
		n = strcspn(list, ", \t");
		if (n == length && strncasecmp(list, token, n) == 0)
			return true;
		list += n;
	}
	return false;
}

bool http_is_hop_by_hop(const char *name)
{
	static const char *const names[] = {
		"Connection",        "Proxy-Connection", "Keep-Alive",         "TE",
		"Transfer-Encoding", "Upgrade",          "Proxy-Authenticate", "Proxy-Authorization",
	};

	return text_find_word(names, sizeof(names) / sizeof(names[0]), name) >= 0;
}
