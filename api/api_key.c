#include "api/api_key.h"

#include "common/hex.h"

#include <errno.h>
#include <gnutls/crypto.h>
#include <gnutls/gnutls.h>
#include <stdio.h>
#include <string.h>

#define PREFIX "hearth_"

enum {
	ID_BYTES = 8,
	SECRET_BYTES = 32,
};

static int hash_token(const char *token, uint8_t hash[API_KEY_HASH_SIZE])
{
	return gnutls_hash_fast(GNUTLS_DIG_SHA256, token, strlen(token), hash) < 0 ? -EIO : 0;
}

int api_key_make(struct api_key *key, char token[API_KEY_TOKEN_SIZE])
{
	uint8_t random[ID_BYTES + SECRET_BYTES];
	char secret[2 * SECRET_BYTES + 1];
	int rc;

	if (gnutls_rnd(GNUTLS_RND_KEY, random, sizeof(random)) < 0)
		return -EIO;
	hex_write(key->id, random, ID_BYTES);
	hex_write(secret, random + ID_BYTES, SECRET_BYTES);
	snprintf(token, API_KEY_TOKEN_SIZE, PREFIX "%s_%s", key->id, secret);
	rc = hash_token(token, key->hash);
	explicit_bzero(random, sizeof(random));
	explicit_bzero(secret, sizeof(secret));
	return rc;
}

bool api_key_id_of(const char *token, char id[API_KEY_ID_SIZE])
{
	static const char digits[] = "0123456789abcdef";
	const char *number = token + sizeof(PREFIX) - 1;

	if (strlen(token) != API_KEY_TOKEN_SIZE - 1 || strncmp(token, PREFIX, sizeof(PREFIX) - 1) != 0 ||
	    strspn(number, digits) != API_KEY_ID_SIZE - 1 || number[API_KEY_ID_SIZE - 1] != '_' ||
	    strspn(number + API_KEY_ID_SIZE, digits) != (size_t)2 * SECRET_BYTES)
		return false;
	memcpy(id, number, API_KEY_ID_SIZE - 1);
	id[API_KEY_ID_SIZE - 1] = '\0';
	return true;
}

bool api_key_matches(const struct api_key *key, const char *token)
{
	uint8_t hash[API_KEY_HASH_SIZE];

	return hash_token(token, hash) == 0 && gnutls_memcmp(hash, key->hash, sizeof(hash)) == 0;
}

bool api_key_name_is_valid(const char *name)
{
	for (const char *c = name; *c; c++)
		if (*c < 0x20 || *c > 0x7e)
			return false;
	return strlen(name) < API_KEY_NAME_SIZE;
}
