/*
 * Who calls: the administrator, by the token of the token file, or the holder of an API key, or of a JSON Web Token of the
 * issuer that the settings name.
 */
#ifndef HEARTH_API_AUTH_H
#define HEARTH_API_AUTH_H

#include "api/api_keys.h"
#include "api/issuer.h"
#include "api/principal.h"
#include "common/error.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
	AUTH_TOKEN_MIN = 16,
	AUTH_TOKEN_MAX = 512,
};

struct auth {
	char token[AUTH_TOKEN_MAX + 1];
	size_t token_size;
	struct api_keys *keys; /* not owned; NULL: none */
	struct issuer *issuer; /* likewise */
};

/*
 * Reads the token: the file's only line, 16 to 512 printable characters without white space. 0 or negative with *err
 * filled, which never quotes what the file holds.
 */
int auth_load(struct auth *auth, const char *path, struct error *err);

/*
 * Fills *principal from the value of an Authorization header (NULL: none). False if it proves nothing; then *why is a
 * sentence for the client, which quotes nothing of it, or NULL if there was no token at all. Comparisons take a time that
 * does not depend on the secret.
 */
bool auth_identify(struct auth *auth, const char *authorization, int64_t now_ms, struct principal *principal,
		   const char **why);

/* Overwrites the token. */
void auth_fini(struct auth *auth);

#endif
