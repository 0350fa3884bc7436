#include "api/toml.h"

#include "common/cleanup.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *skip_space(const char *s)
{
	return s + strspn(s, " \t\r");
}

/* Copies what stands between the quotes; *end is behind them. A string in ' has no escapes. */
static int parse_string(const char *s, struct toml_line *line, const char **end, struct error *err)
{
	char quote = *s++;
	size_t n = 0;

	for (; *s && *s != quote; s++) {
		char c = *s;

		if (c == '\\' && quote == '"') {
			const char *from = "\"\\nt", *to = "\"\\\n\t", *found = *++s ? strchr(from, *s) : NULL;

			if (!found)
				return error_set(err, EINVAL,
						 "only \\\", \\\\, \\n and \\t can be escaped in a string");
			c = to[found - from];
		}
		if (n == sizeof(line->text) - 1)
			return error_set(err, EINVAL, "the string is too long");
		line->text[n++] = c;
	}
	if (*s != quote)
		return error_set(err, EINVAL, "the string has no closing quote");
	line->text[n] = '\0';
	line->type = TOML_STRING;
	*end = s + 1;
	return 0;
}

static int parse_integer(const char *s, struct toml_line *line, const char **end, struct error *err)
{
	char digits[32];
	size_t n = 0;
	char *stop;

	for (; *s && strchr("+-_0123456789", *s); s++) {
		if (*s == '_')
			continue;
		if (n == sizeof(digits) - 1)
			return error_set(err, EINVAL, "the number is too long");
		digits[n++] = *s;
	}
	digits[n] = '\0';
	errno = 0;
	line->integer = strtoll(digits, &stop, 10);
	if (n == 0 || *stop || errno)
		return error_set(err, EINVAL, "the value is neither a string in quotes, nor an integer, true or false");
	line->type = TOML_INTEGER;
	*end = s;
	return 0;
}

static int parse_value(const char *s, struct toml_line *line, const char **end, struct error *err)
{
	if (*s == '"' || *s == '\'')
		return parse_string(s, line, end, err);
	if (strncmp(s, "true", 4) != 0 && strncmp(s, "false", 5) != 0)
		return parse_integer(s, line, end, err);
	line->type = TOML_BOOLEAN;
	line->boolean = *s == 't';
	*end = s + (line->boolean ? 4 : 5);
	return 0;
}

int toml_parse_line(const char *line, struct toml_line *parsed, struct error *err)
{
	const char *s = skip_space(line);
	size_t length = strspn(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-");
	int rc;

	parsed->type = TOML_NOTHING;
	if (*s == '\0' || *s == '#')
		return 0;
	if (*s == '[')
		return error_set(err, EINVAL, "tables are not used here: each line is `key = value`");
	if (length == 0 || length >= sizeof(parsed->key))
		return error_set(err, EINVAL, "a line must be `key = value`");
	memcpy(parsed->key, s, length);
	parsed->key[length] = '\0';
	s = skip_space(s + length);
	if (*s != '=')
		return error_set(err, EINVAL, "there is no = after %s", parsed->key);
	rc = parse_value(skip_space(s + 1), parsed, &s, err);
	if (rc < 0)
		return rc;
	s = skip_space(s);
	if (*s && *s != '#')
		return error_set(err, EINVAL, "there is something behind the value of %s", parsed->key);
	return 0;
}

int toml_parse(const char *text, const char *name, toml_take take, void *data, struct error *err)
{
	AUTO_FREE char *copy = strdup(text);
	unsigned int number = 0;
	char *rest = copy;

	if (!copy)
		return error_set(err, ENOMEM, "out of memory");
	for (char *line = strsep(&rest, "\n"); line; line = strsep(&rest, "\n")) {
		struct toml_line parsed;
		int rc = toml_parse_line(line, &parsed, err);

		number++;
		if (rc == 0 && parsed.type != TOML_NOTHING)
			rc = take(data, &parsed, err);
		if (rc < 0)
			return error_wrap(err, "%s:%u", name, number);
	}
	return 0;
}

int toml_read_file(const char *path, bool must_exist, toml_take take, void *data, struct error *err)
{
	char text[64 << 10];
	FILE *file = fopen(path, "re");
	int failure;
	size_t n;

	if (!file && errno == ENOENT && !must_exist)
		return 0;
	if (!file)
		return error_set(err, errno, "cannot read %s: %s", path, strerror(errno));
	errno = 0;
	n = fread(text, 1, sizeof(text) - 1, file);
	failure = ferror(file) ? errno : 0;
	fclose(file);
	if (failure)
		return error_set(err, failure, "cannot read %s: %s", path, strerror(failure));
	text[n] = '\0';
	if (n == sizeof(text) - 1 || strlen(text) != n)
		return error_set(err, EINVAL, "%s is no configuration file: it is too large or holds NUL", path);
	return toml_parse(text, path, take, data, err);
}
