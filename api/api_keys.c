#include "api/api_keys.h"

#include "api/key_store.h"
#include "common/cleanup.h"
#include "common/log.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum {
	FLUSH_MS = 60000,
};

/* Pointers, so that a key stays where it is while the table grows. */
struct slot {
	struct api_key *key;
	bool is_touched; /* used since the last flush */
};

struct api_keys {
	struct key_store *store;
	struct slot *slots; /* by time of creation */
	size_t n;
	int64_t flushed_ms;
	bool failed; /* there was no memory while loading */
};

/* ---- the table --------------------------------------------------------------------------------------------------- */

static int append(struct api_keys *keys, const struct api_key *key)
{
	struct slot *longer = reallocarray(keys->slots, keys->n + 1, sizeof(*longer));
	struct api_key *copy = malloc(sizeof(*copy));

	if (longer)
		keys->slots = longer;
	if (!longer || !copy) {
		free(copy);
		return -ENOMEM;
	}
	*copy = *key;
	keys->slots[keys->n++] = (struct slot) { .key = copy };
	return 0;
}

static struct slot *find(const struct api_keys *keys, const char *id)
{
	for (size_t i = 0; i < keys->n; i++)
		if (strcmp(keys->slots[i].key->id, id) == 0)
			return &keys->slots[i];
	return NULL;
}

const struct api_key *api_keys_find(const struct api_keys *keys, const char *id)
{
	const struct slot *slot = find(keys, id);

	return slot ? slot->key : NULL;
}

const struct api_key *api_keys_at(const struct api_keys *keys, size_t index)
{
	return index < keys->n ? keys->slots[index].key : NULL;
}

/* ---- opening and closing ----------------------------------------------------------------------------------------- */

static void load(void *data, const struct api_key *key)
{
	struct api_keys *keys = data;

	if (append(keys, key) < 0)
		keys->failed = true;
}

static void destroy(struct api_keys *keys)
{
	key_store_close(keys->store);
	for (size_t i = 0; i < keys->n; i++)
		free(keys->slots[i].key);
	free(keys->slots);
	free(keys);
}

struct api_keys *api_keys_open(const char *database, struct error *err)
{
	struct api_keys *keys = calloc(1, sizeof(*keys));
	int rc;

	if (!keys) {
		error_set(err, ENOMEM, "out of memory");
		return NULL;
	}
	keys->store = key_store_open(database, err);
	rc = keys->store ? key_store_load(keys->store, load, keys, err) : -1;
	if (rc == 0 && keys->failed)
		rc = error_set(err, ENOMEM, "out of memory");
	if (rc < 0) {
		destroy(keys);
		return NULL;
	}
	return keys;
}

/* What fails is tried again with the next one: nothing depends on it. */
static void flush(struct api_keys *keys)
{
	AUTO_FREE const struct api_key **touched = calloc(keys->n + 1, sizeof(void *));
	struct error err = { 0 };
	size_t n = 0;

	for (size_t i = 0; touched && i < keys->n; i++)
		if (keys->slots[i].is_touched)
			touched[n++] = keys->slots[i].key;
	if (n == 0)
		return;
	if (key_store_touch(keys->store, touched, n, &err) < 0) {
		log_warn_limited("when keys were used last could not be written: %s", err.text);
		return;
	}
	for (size_t i = 0; i < keys->n; i++)
		keys->slots[i].is_touched = false;
}

void api_keys_close(struct api_keys *keys)
{
	if (!keys)
		return;
	flush(keys);
	destroy(keys);
}

/* ---- use --------------------------------------------------------------------------------------------------------- */

const struct api_key *api_keys_identify(struct api_keys *keys, const char *token, int64_t now_ms)
{
	char id[API_KEY_ID_SIZE];
	struct slot *slot = api_key_id_of(token, id) ? find(keys, id) : NULL;

	if (!slot || !api_key_matches(slot->key, token) || (slot->key->expires_ms && now_ms >= slot->key->expires_ms))
		return NULL;
	slot->key->last_used_ms = now_ms;
	slot->is_touched = true;
	/* Also when the clock was put back. */
	if (now_ms - keys->flushed_ms >= FLUSH_MS || now_ms < keys->flushed_ms) {
		keys->flushed_ms = now_ms;
		flush(keys);
	}
	return slot->key;
}

int api_keys_create(struct api_keys *keys, struct api_key *key, char token[API_KEY_TOKEN_SIZE], struct error *err)
{
	if (keys->n >= API_KEYS_MAX)
		return error_set(err, ENOSPC, "There are %d API keys already: revoke some.", API_KEYS_MAX);
	if (api_key_make(key, token) < 0)
		return error_set(err, EIO, "there is no randomness for an API key");
	if (append(keys, key) < 0)
		return error_set(err, EIO, "out of memory");
	if (key_store_put(keys->store, key, err) < 0) {
		free(keys->slots[--keys->n].key);
		return -err->code;
	}
	return 0;
}

int api_keys_revoke(struct api_keys *keys, const char *id, struct error *err)
{
	struct slot *slot = find(keys, id);
	int rc = slot ? key_store_delete(keys->store, id, err) : 0;

	if (!slot || rc < 0)
		return rc;
	free(slot->key);
	keys->n--;
	memmove(slot, slot + 1, (size_t)(keys->slots + keys->n - slot) * sizeof(*slot));
	return 1;
}
