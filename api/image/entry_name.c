#include "api/image/entry_name.h"

#include "common/text.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define WHITEOUT ".wh."
#define OPAQUE   ".wh..wh..opq"
#define PRIVATE  ".wh..wh."

static bool is_dots(const char *name, size_t length)
{
	return (length == 1 && name[0] == '.') || (length == 2 && memcmp(name, "..", 2) == 0);
}

/* Copies the path without "." and without slashes that say nothing. */
static int clean(const char *name, char path[PATH_MAX], struct error *err)
{
	size_t size = 0;

	if (name[0] == '/')
		return error_set(err, EINVAL, "it is absolute");
	for (size_t length; *name; name += length + (name[length] == '/')) {
		length = strcspn(name, "/");
		if (length == 2 && is_dots(name, length))
			return error_set(err, EINVAL, "it has \"..\" in it");
		if (length == 0 || is_dots(name, length))
			continue;
		if (length > NAME_MAX)
			return error_set(err, EINVAL, "a part of it is longer than %d bytes", NAME_MAX);
		if (size + length + 2 > PATH_MAX)
			return error_set(err, EINVAL, "it is longer than %d bytes", PATH_MAX - 1);
		if (size)
			path[size++] = '/';
		memcpy(path + size, name, length);
		size += length;
	}
	path[size] = '\0';
	return 0;
}

/* What a whiteout's name says, which `last` is; cuts it from the path, or puts what it takes away in its place. */
static int parse_whiteout(char *path, char *last, struct error *err)
{
	const char *name = last + strlen(WHITEOUT);

	if (strcmp(last, OPAQUE) == 0) {
		last[last > path ? -1 : 0] = '\0';
		return ENTRY_OPAQUE;
	}
	if (!*name || is_dots(name, strlen(name)))
		return error_set(err, EINVAL, "it is a whiteout of nothing");
	memmove(last, name, strlen(name) + 1);
	return ENTRY_WHITEOUT;
}

int entry_name_parse(const char *name, char path[PATH_MAX], struct error *err)
{
	char *last = path;

	if (!*name)
		return error_set(err, EINVAL, "it has no name");
	if (clean(name, path, err) < 0)
		return -err->code;
	for (char *slash; (slash = strchr(last, '/')); last = slash + 1) {
		if (text_begins_with(last, PRIVATE))
			return ENTRY_NOTHING;
		if (text_begins_with(last, WHITEOUT))
			return error_set(err, EINVAL, "it lies in a whiteout");
	}
	if (text_begins_with(last, PRIVATE) && strcmp(last, OPAQUE) != 0)
		return ENTRY_NOTHING;
	return text_begins_with(last, WHITEOUT) ? parse_whiteout(path, last, err) : ENTRY_FILE;
}

int entry_name_parse_target(const char *target, char path[PATH_MAX], struct error *err)
{
	return clean(target, path, err) < 0 ? error_wrap(err, "it is a hard link whose target is refused") : 0;
}

bool entry_name_leaves_root(const char *path, const char *target)
{
	long depth = 0;

	if (target[0] == '/')
		return false;
	for (; *path; path++)
		depth += *path == '/';
	for (size_t length; *target; target += length + (target[length] == '/')) {
		length = strcspn(target, "/");
		if (length == 2 && is_dots(target, length))
			depth--;
		else if (length && !is_dots(target, length))
			depth++;
		if (depth < 0)
			return true;
	}
	return false;
}

const char *entry_name_show(char *out, size_t size, const char *name)
{
	size_t n = 0;

	/* Room for one more byte as \xNN, for the sign that something was cut, and for NUL. */
	for (; *name && n + 8 < size; name++) {
		unsigned char c = (unsigned char)*name;

		if (c > 0x20 && c < 0x7f && c != '\\')
			out[n++] = *name;
		else
			n += (size_t)snprintf(out + n, size - n, "\\x%02x", c);
	}
	snprintf(out + n, size - n, "%s", *name ? "..." : "");
	return out;
}
