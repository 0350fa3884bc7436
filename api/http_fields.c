#include "api/http_fields.h"

#include <string.h>
#include <strings.h>

bool http_is_token(const char *text, size_t size)
{
	static const char others[] = "!#$%&'*+-.^_`|~";

	for (size_t i = 0; i < size; i++) {
		char c = text[i];
		bool is_alphanumeric = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');

		if (!is_alphanumeric && !memchr(others, c, sizeof(others) - 1))
			return false;
	}
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

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (strcasecmp(names[i], name) == 0)
			return true;
	return false;
}
