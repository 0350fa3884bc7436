#include "api/url.h"

#include "common/hex.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

/* In place: decoding never makes a text longer. */
static int percent_decode(char *text, bool plus_is_space)
{
	char *to = text;

	for (const char *from = text; *from; from++) {
		int high = from[0] == '%' ? hex_value(from[1]) : -1;
		int low = high >= 0 ? hex_value(from[2]) : -1;

		if (low >= 0) {
			*to = (char)(high << 4 | low);
			if (*to == '\0')
				return -EINVAL;
			from += 2;
		} else {
			*to = plus_is_space && *from == '+' ? ' ' : *from;
		}
		to++;
	}
	*to = '\0';
	return 0;
}

static int split_path(struct url *u, char *path)
{
	char *rest;

	for (char *s = strtok_r(path, "/", &rest); s; s = strtok_r(NULL, "/", &rest)) {
		if (u->n_segments == URL_SEGMENTS_MAX)
			return -E2BIG;
		if (percent_decode(s, false) < 0)
			return -EINVAL;
		u->segments[u->n_segments++] = s;
	}
	return 0;
}

static int split_query(struct url *u, char *query)
{
	char *rest;

	for (char *name = strtok_r(query, "&", &rest); name; name = strtok_r(NULL, "&", &rest)) {
		char *value = strchr(name, '=');

		if (u->n_parameters == URL_PARAMETERS_MAX)
			return -E2BIG;
		if (value)
			*value++ = '\0';
		else
			value = name + strlen(name);
		if (percent_decode(name, true) < 0 || percent_decode(value, true) < 0)
			return -EINVAL;
		u->parameters[u->n_parameters].name = name;
		u->parameters[u->n_parameters++].value = value;
	}
	return 0;
}

/* A proxy sends the absolute form; its scheme and authority say nothing to us. */
static const char *skip_authority(const char *target)
{
	const char *slash;

	if (strncasecmp(target, "http://", 7) == 0)
		target += 7;
	else if (strncasecmp(target, "https://", 8) == 0)
		target += 8;
	else
		return target;
	slash = strpbrk(target, "/?");
	return slash ? slash : target + strlen(target);
}

const char *url_after_segments(const char *target, size_t n)
{
	const char *at = skip_authority(target);

	while (n-- && *at) {
		at += strspn(at, "/");
		at += strcspn(at, "/?#");
	}
	return at;
}

int url_split(struct url *u, const char *target)
{
	char *path, *query;
	int rc;

	*u = (struct url) { .storage = strdup(target) };
	if (!u->storage)
		return -ENOMEM;
	path = u->storage + (skip_authority(u->storage) - u->storage);
	path[strcspn(path, "#")] = '\0';
	query = strchr(path, '?');
	if (query)
		*query++ = '\0';
	rc = split_path(u, path);
	if (rc == 0 && query)
		rc = split_query(u, query);
	return rc;
}

void url_fini(struct url *u)
{
	free(u->storage);
	*u = (struct url) { 0 };
}

const char *url_parameter(const struct url *u, const char *name)
{
	for (size_t i = 0; i < u->n_parameters; i++)
		if (strcasecmp(u->parameters[i].name, name) == 0)
			return u->parameters[i].value;
	return NULL;
}

void url_put_encoded(struct buffer *out, const char *text)
{
	static const char unreserved[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~";

	while (*text) {
		size_t n = strspn(text, unreserved);

		buffer_put(out, text, n);
		text += n;
		if (*text)
			buffer_put_format(out, "%%%02X", (unsigned int)(unsigned char)*text++);
	}
}
