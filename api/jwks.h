/*
 * A set of public keys that sign tokens (RFC 7517): RSA of 2048 to 8192 bits for RS256, and the curve P-256 for ES256.
 * What else the set holds is passed over: other algorithms, keys for encryption, shared secrets.
 */
#ifndef HEARTH_API_JWKS_H
#define HEARTH_API_JWKS_H

#include "common/error.h"

#include <stdbool.h>
#include <stddef.h>

enum jwk_algorithm { JWK_RS256, JWK_ES256 };

enum {
	JWKS_SIZE_MAX = 1 << 20, /* of its text */
	JWKS_KEYS_MAX = 256,
	JWK_ID_SIZE = 257, /* with its NUL */
};

struct jwks;
struct jwk;

/* NULL with *err filled if the text is no set of keys, or no key of it can be used. */
struct jwks *jwks_parse(const char *text, size_t size, struct error *err);

/* NULL is fine. */
void jwks_free(struct jwks *keys);

/* How many keys it holds that can be used. */
size_t jwks_count(const struct jwks *keys);

/*
 * The key of that id for that algorithm; without an id (NULL), the only key for it. NULL if there is none. An algorithm is
 * the key's to say, never the token's alone: a token cannot have an RSA key taken for something else.
 */
const struct jwk *jwks_find(const struct jwks *keys, const char *id, enum jwk_algorithm algorithm);

/* True if the signature, in the form that tokens have (RFC 7518, 3), is the key's of that text. */
bool jwk_verify(const struct jwk *key, const char *text, size_t size, const unsigned char *signature,
		size_t signature_size);

#endif
