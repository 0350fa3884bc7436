/*
 * An API key: an opaque bearer token of 256 random bits, of which a hash is kept. The hash is plain SHA-256: a slow,
 * memory-hard one makes guessing passwords dear, and there is nothing to guess here; it would only make each request dear.
 *
 * A token is "hearth_<id>_<secret>". The id finds the key and is no secret; the word lets scanners find leaked ones.
 */
#ifndef HEARTH_API_API_KEY_H
#define HEARTH_API_API_KEY_H

#include "api/principal.h"

#include <stdint.h>

enum {
	API_KEY_ID_SIZE = 17,   /* with its NUL: 16 hexadecimal digits */
	API_KEY_NAME_SIZE = 65, /* with its NUL */
	API_KEY_HASH_SIZE = 32,
	API_KEY_TOKEN_SIZE = 7 + 16 + 1 + 64 + 1, /* with its NUL */
};

/* A plain value, without the secret. */
struct api_key {
	char id[API_KEY_ID_SIZE];
	char name[API_KEY_NAME_SIZE]; /* its creator's word for it, may be empty */
	enum role role;
	char pools[POOL_LIST_SIZE]; /* as in struct principal */
	uint8_t hash[API_KEY_HASH_SIZE];
	char created_by[PRINCIPAL_NAME_SIZE];
	int64_t created_ms;   /* since 1970, UTC */
	int64_t expires_ms;   /* 0: never */
	int64_t last_used_ms; /* 0: not yet */
};

/* Fills the key's id and hash, and the token, which nobody can make again. 0, or -EIO if there is no randomness. */
int api_key_make(struct api_key *key, char token[API_KEY_TOKEN_SIZE]);

/* Notes the id that a token names. False if it has not the form of one. */
bool api_key_id_of(const char *token, char id[API_KEY_ID_SIZE]);

/* True if the token is the key's. Takes as long for every token of that form. */
bool api_key_matches(const struct api_key *key, const char *token);

/* True for printable text of at most 64 bytes of ASCII. */
bool api_key_name_is_valid(const char *name);

#endif
