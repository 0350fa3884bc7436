/*
 * The API keys in hearthd's database: the table api_keys. A connection of its own to the file that pool_store_open() has
 * opened, and brought up to date, before. Calls are synchronous.
 */
#ifndef HEARTH_API_KEY_STORE_H
#define HEARTH_API_KEY_STORE_H

#include "api/api_key.h"
#include "common/error.h"

struct key_store;

/* NULL with *err filled on failure. */
struct key_store *key_store_open(const char *path, struct error *err);

/* NULL is fine. */
void key_store_close(struct key_store *store);

/* Calls `each` with every key, oldest first. A row that makes no sense is an error. 0, or negative with *err filled. */
int key_store_load(struct key_store *store, void (*each)(void *data, const struct api_key *key), void *data,
		   struct error *err);

/* Keeps a new key. On disk when it returns 0. */
int key_store_put(struct key_store *store, const struct api_key *key, struct error *err);

/* 1 if there was a key of that id, 0 if not, negative with *err filled. On disk when it returns. */
int key_store_delete(struct key_store *store, const char *id, struct error *err);

/* Notes when `n` keys were used, in one transaction that does not wait for the disk. */
int key_store_touch(struct key_store *store, const struct api_key *const *keys, size_t n, struct error *err);

#endif
