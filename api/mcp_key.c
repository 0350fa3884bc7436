#include "api/mcp_key.h"

#include "api/database.h"
#include "common/hex.h"
#include "common/log.h"

#include <errno.h>
#include <gnutls/crypto.h>
#include <gnutls/gnutls.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PREFIX "hearth_mcp_"

enum {
	SALT_SIZE = 32,
	MAC_SIZE = 32,
};

enum statement { GET, PUT, DELETE, N_STATEMENTS };

static const char *const statements[N_STATEMENTS] = {
	[GET] = "SELECT salt FROM mcp_keys WHERE pool = ?1",
	[PUT] = "REPLACE INTO mcp_keys (pool, salt) VALUES (?1, ?2)",
	[DELETE] = "DELETE FROM mcp_keys WHERE pool = ?1",
};

struct mcp_keys {
	struct database database;
	const struct auth *auth;
};

struct mcp_keys *mcp_keys_open(const char *path, const struct auth *auth, struct error *err)
{
	struct mcp_keys *k = calloc(1, sizeof(*k));

	if (!k) {
		error_set(err, ENOMEM, "out of memory");
		return NULL;
	}
	k->auth = auth;
	if (database_open(&k->database, path, err) < 0 ||
	    database_execute(&k->database, "PRAGMA synchronous = FULL", err) < 0 ||
	    database_prepare(&k->database, statements, N_STATEMENTS, err) < 0) {
		mcp_keys_close(k);
		return NULL;
	}
	return k;
}

void mcp_keys_close(struct mcp_keys *k)
{
	if (!k)
		return;
	database_close(&k->database);
	free(k);
}

/* 1 with *salt filled, 0 if there is none, negative with *err filled. */
static int get_salt(struct mcp_keys *k, const char *pool, uint8_t salt[SALT_SIZE], struct error *err)
{
	sqlite3_stmt *row = k->database.statements[GET];
	int rc, step;

	sqlite3_bind_text(row, 1, pool, -1, SQLITE_STATIC);
	step = sqlite3_step(row);
	if (step == SQLITE_ROW && sqlite3_column_bytes(row, 0) == SALT_SIZE) {
		memcpy(salt, sqlite3_column_blob(row, 0), SALT_SIZE);
		rc = 1;
	} else if (step == SQLITE_ROW) {
		rc = error_set(err, EIO, "database %s: the MCP key of pool '%.64s' makes no sense", k->database.path,
			       pool);
	} else {
		rc = step == SQLITE_DONE ? 0 : database_fail(&k->database, err);
	}
	sqlite3_reset(row);
	sqlite3_clear_bindings(row);
	return rc;
}

static int put_salt(struct mcp_keys *k, const char *pool, uint8_t salt[SALT_SIZE], struct error *err)
{
	sqlite3_stmt *put = k->database.statements[PUT];

	if (gnutls_rnd(GNUTLS_RND_KEY, salt, SALT_SIZE) < 0)
		return error_set(err, EIO, "there is no randomness for a key");
	sqlite3_bind_text(put, 1, pool, -1, SQLITE_STATIC);
	sqlite3_bind_blob(put, 2, salt, SALT_SIZE, SQLITE_STATIC);
	return database_run(&k->database, PUT, err);
}

static int make_key(const struct mcp_keys *k, const uint8_t salt[SALT_SIZE], char key[MCP_KEY_SIZE])
{
	uint8_t mac[MAC_SIZE];

	if (gnutls_hmac_fast(GNUTLS_MAC_SHA256, k->auth->token, k->auth->token_size, salt, SALT_SIZE, mac) < 0)
		return -EIO;
	memcpy(key, PREFIX, sizeof(PREFIX) - 1);
	hex_write(key + sizeof(PREFIX) - 1, mac, MAC_SIZE);
	explicit_bzero(mac, sizeof(mac));
	return 0;
}

static int finish(const struct mcp_keys *k, const uint8_t salt[SALT_SIZE], char key[MCP_KEY_SIZE], struct error *err)
{
	return make_key(k, salt, key) < 0 ? error_set(err, EIO, "the key cannot be computed") : 0;
}

int mcp_keys_fetch(struct mcp_keys *k, const char *pool, char key[MCP_KEY_SIZE], struct error *err)
{
	uint8_t salt[SALT_SIZE];
	int rc = get_salt(k, pool, salt, err);

	if (rc == 0)
		rc = put_salt(k, pool, salt, err);
	return rc < 0 ? rc : finish(k, salt, key, err);
}

int mcp_keys_rotate(struct mcp_keys *k, const char *pool, char key[MCP_KEY_SIZE], struct error *err)
{
	uint8_t salt[SALT_SIZE];
	int rc = put_salt(k, pool, salt, err);

	return rc < 0 ? rc : finish(k, salt, key, err);
}

int mcp_keys_forget(struct mcp_keys *k, const char *pool, struct error *err)
{
	sqlite3_bind_text(k->database.statements[DELETE], 1, pool, -1, SQLITE_STATIC);
	return database_run(&k->database, DELETE, err);
}

bool mcp_keys_match(struct mcp_keys *k, const char *pool, const char *given)
{
	uint8_t salt[SALT_SIZE];
	char key[MCP_KEY_SIZE];
	struct error err = { 0 };
	bool matches;
	int rc;

	/* Other tokens are not looked up. */
	if (strlen(given) != MCP_KEY_SIZE - 1 || strncmp(given, PREFIX, sizeof(PREFIX) - 1) != 0)
		return false;
	rc = get_salt(k, pool, salt, &err);
	if (rc < 0)
		log_error("%s", err.text);
	if (rc <= 0 || make_key(k, salt, key) < 0)
		return false;
	matches = gnutls_memcmp(key, given, MCP_KEY_SIZE - 1) == 0;
	explicit_bzero(key, sizeof(key));
	return matches;
}
