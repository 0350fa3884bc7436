/*
 * The API keys of the service, all in memory, in front of the database: finding one costs no query, and what is revoked is
 * gone with the next request.
 */
#ifndef HEARTH_API_API_KEYS_H
#define HEARTH_API_API_KEYS_H

#include "api/api_key.h"
#include "common/error.h"

enum {
	API_KEYS_MAX = 10000,
};

struct api_keys;

/* Loads the keys of a database that pool_store_open() has opened before. NULL with *err filled on failure. */
struct api_keys *api_keys_open(const char *database, struct error *err);

/* Notes what was used last, and closes. NULL is fine. */
void api_keys_close(struct api_keys *keys);

/*
 * The key whose token this is, if it has not expired at `now_ms`; else NULL. Counts as its use, which is written down at
 * most once a minute for all keys together, and at the end.
 */
const struct api_key *api_keys_identify(struct api_keys *keys, const char *token, int64_t now_ms);

/*
 * Makes a key of what *key says (name, role, pools, creator, times), fills in the rest, and the token. 0; -EIO with *err
 * filled if it cannot be kept, -ENOSPC if there are too many.
 */
int api_keys_create(struct api_keys *keys, struct api_key *key, char token[API_KEY_TOKEN_SIZE], struct error *err);

/* Revokes at once. 1 if there was a key of that id, 0 if not, negative with *err filled (then it is still valid). */
int api_keys_revoke(struct api_keys *keys, const char *id, struct error *err);

/* The key of that id, or NULL. Valid until the next call that changes something. */
const struct api_key *api_keys_find(const struct api_keys *keys, const char *id);

/* The key at `index`, by time of creation; NULL beyond the last. Likewise. */
const struct api_key *api_keys_at(const struct api_keys *keys, size_t index);

#endif
