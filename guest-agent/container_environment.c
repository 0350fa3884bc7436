#include "container_environment.h"

#include "common/cleanup.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define DEFAULT_PATH "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

static size_t name_length(const char *variable)
{
	return strcspn(variable, "=");
}

static bool is_same_name(const char *a, const char *b)
{
	size_t length = name_length(a);

	return length == name_length(b) && memcmp(a, b, length) == 0;
}

static bool has_value(const char *variable)
{
	const char *sign = variable + name_length(variable);

	return sign[0] == '=' && sign[1];
}

const char *container_variables_check(const char *body, size_t size)
{
	if (size > AGENT_CONTAINER_ENVIRONMENT_MAX)
		return "the variables are too long";
	if (size > 0 && body[size - 1] != '\0')
		return "the last variable has no end";
	for (size_t at = 0; at < size; at += strlen(body + at) + 1) {
		const char *variable = body + at;

		if (!agent_variable_is_sound(variable))
			return "a variable is not NAME=VALUE";
		if (strpbrk(variable, "\n\r"))
			return "a variable has a line break in it, which a file of lines cannot hold: encode it";
	}
	return NULL;
}

static void take_away(struct container_variables *variables, const char *name)
{
	for (size_t at = 0; at < variables->size;) {
		size_t length = strlen(variables->data + at) + 1;

		if (!is_same_name(variables->data + at, name)) {
			at += length;
			continue;
		}
		memmove(variables->data + at, variables->data + at + length, variables->size - at - length);
		variables->size -= length;
	}
}

int container_variables_set(struct container_variables *variables, const char *body, size_t size)
{
	struct container_variables *changed = malloc(sizeof(*changed));
	int result = changed ? 0 : -ENOMEM;

	if (changed)
		*changed = *variables;
	for (size_t at = 0; result == 0 && at < size; at += strlen(body + at) + 1) {
		size_t length = strlen(body + at) + 1;

		take_away(changed, body + at);
		if (!has_value(body + at))
			continue;
		if (length > sizeof(changed->data) - changed->size) {
			result = -E2BIG;
			break;
		}
		memcpy(changed->data + changed->size, body + at, length);
		changed->size += length;
	}
	if (result == 0)
		*variables = *changed;
	free(changed);
	return result;
}

static int write_lines(int fd, const struct container_variables *variables)
{
	AUTO_FREE char *lines = malloc(variables->size + 1);

	if (!lines)
		return -ENOMEM;
	memcpy(lines, variables->data, variables->size);
	for (size_t i = 0; i < variables->size; i++)
		if (lines[i] == '\0')
			lines[i] = '\n';
	if (write(fd, lines, variables->size) != (ssize_t)variables->size)
		return errno ? -errno : -ENOSPC;
	return 0;
}

int container_variables_write(const struct container_variables *variables, const char *folder)
{
	AUTO_FD int directory = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	AUTO_FD int fd =
		directory < 0 ? -1 : openat(directory, ".environment", O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0444);
	int result;

	if (fd < 0)
		return -errno;
	result = write_lines(fd, variables);
	if (result == 0 && renameat(directory, ".environment", directory, "environment") < 0)
		result = -errno;
	return result;
}

/* ---- the entrypoint's environment -------------------------------------------------------------------------------- */

/* Where the one of its name is, or the end. */
static size_t place_of(const char *const *list, size_t count, const char *variable)
{
	size_t at = 0;

	while (at < count && !is_same_name(list[at], variable))
		at++;
	return at;
}

static void put(const char **list, size_t *count, const char *variable)
{
	size_t at = place_of(list, *count, variable);

	list[at] = variable;
	if (at == *count)
		++*count;
}

static void put_default(const char **list, size_t *count, const char *variable)
{
	if (place_of(list, *count, variable) == *count)
		list[(*count)++] = variable;
}

const char **container_environment_make(const char *const *own, const char *body, size_t size, const char *home)
{
	size_t n_own = 0, n_more = 0, count = 0;
	const char **list;
	char *home_variable;

	while (own[n_own])
		n_own++;
	for (size_t at = 0; at < size; at += strlen(body + at) + 1)
		n_more++;
	list = calloc(n_own + n_more + 3, sizeof(*list));
	home_variable = malloc(sizeof("HOME=") + strlen(home));
	if (!list || !home_variable)
		return NULL;
	stpcpy(stpcpy(home_variable, "HOME="), home);
	for (size_t i = 0; i < n_own; i++)
		put(list, &count, own[i]);
	for (size_t at = 0; at < size; at += strlen(body + at) + 1)
		put(list, &count, body + at);
	put_default(list, &count, DEFAULT_PATH);
	put_default(list, &count, home_variable);
	return list;
}
