/* Who may call: for now, whoever holds the one token of the token file. */
#ifndef HEARTH_API_AUTH_H
#define HEARTH_API_AUTH_H

#include "common/error.h"

#include <stdbool.h>
#include <stddef.h>

enum {
	AUTH_TOKEN_MIN = 16,
	AUTH_TOKEN_MAX = 512,
};

struct auth {
	char token[AUTH_TOKEN_MAX + 1];
	size_t token_size;
};

/*
 * Reads the token: the file's only line, 16 to 512 printable characters without white space. 0 or negative with *err
 * filled, which never quotes what the file holds.
 */
int auth_load(struct auth *auth, const char *path, struct error *err);

/* Takes the value of the Authorization header (NULL: none). Compares in a time that does not depend on the token. */
bool auth_permits(const struct auth *auth, const char *authorization);

/* Overwrites the token. */
void auth_fini(struct auth *auth);

#endif
