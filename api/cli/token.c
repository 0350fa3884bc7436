#include "token.h"
#include "api/home.h"
#include "common/cleanup.h"
#include "exit_status.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>

/* A header line holds visible ASCII. What else there is would be sent as something else, or as a second header. */
static int take(const char *text, const char *where, char token[TOKEN_SIZE_MAX], struct error *err)
{
	size_t size = strcspn(text, "\r\n");

	for (size_t i = 0; i < size; i++)
		if (text[i] <= ' ' || text[i] > '~')
			return error_set(err, STATUS_USAGE, "%s does not hold a token: it has characters that none has",
					 where);
	if (size >= TOKEN_SIZE_MAX)
		return error_set(err, STATUS_USAGE, "%s does not hold a token: it is too long", where);
	memcpy(token, text, size);
	token[size] = '\0';
	return 0;
}

/* 0, -ENOENT or another errno silently, or -STATUS_USAGE with *err set. */
static int take_file(const char *path, char token[TOKEN_SIZE_MAX], struct error *err)
{
	AUTO_FD int fd = open(path, O_RDONLY | O_CLOEXEC);
	char text[TOKEN_SIZE_MAX + 1];
	ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof(text) - 1);

	if (n < 0)
		return error_set(err, STATUS_USAGE, "cannot read the token in %s: %s", path, strerror(errno));
	text[n] = '\0';
	return take(text, path, token, err);
}

int token_find(const char *given, char token[TOKEN_SIZE_MAX], struct error *err)
{
	const char *variable = getenv("HEARTH_TOKEN");
	const char *file = getenv("HEARTH_TOKEN_FILE");
	const char *home = getenv("HEARTH_HOME");
	char folder[PATH_MAX], path[PATH_MAX];

	token[0] = '\0';
	if (given)
		return take(given, "--token", token, err);
	if (variable && variable[0])
		return take(variable, "HEARTH_TOKEN", token, err);
	if (file && file[0])
		return take_file(file, token, err);
	if (home_own_folder(folder) && snprintf(path, sizeof(path), "%s/token", folder) < (int)sizeof(path) &&
	    access(path, R_OK) == 0)
		return take_file(path, token, err);
	if (home && home[0] && snprintf(path, sizeof(path), "%s/token", home) < (int)sizeof(path) &&
	    access(path, R_OK) == 0)
		return take_file(path, token, err);
	return 0;
}
