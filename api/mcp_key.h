/*
 * The key of a pool's MCP server, which opens that server and nothing else. It is not kept anywhere: it is made, the same
 * each time, of a random value in the database and the administrator's token, so that neither of them alone gives it away.
 * Another random value is another key, and so is another token.
 */
#ifndef HEARTH_API_MCP_KEY_H
#define HEARTH_API_MCP_KEY_H

#include "api/auth.h"
#include "common/error.h"

enum {
	MCP_KEY_SIZE = 11 + 64 + 1, /* with its NUL: "hearth_mcp_" and 64 hexadecimal digits */
};

struct mcp_keys;

/* Opens the database that pool_store_open() made; `auth` must live longer. NULL with *err filled on failure. */
struct mcp_keys *mcp_keys_open(const char *path, const struct auth *auth, struct error *err);

/* NULL is fine. */
void mcp_keys_close(struct mcp_keys *keys);

/* The key of that pool. 0, or negative with *err filled. */
int mcp_keys_fetch(struct mcp_keys *keys, const char *pool, char key[MCP_KEY_SIZE], struct error *err);

/* A new one in its place. 0, or negative with *err filled. */
int mcp_keys_rotate(struct mcp_keys *keys, const char *pool, char key[MCP_KEY_SIZE], struct error *err);

/* The pool was deleted: one that is made in its place will have another key. 0, or negative with *err filled. */
int mcp_keys_forget(struct mcp_keys *keys, const char *pool, struct error *err);

/* True if `given` is the key of that pool. Takes a time that does not depend on the key. */
bool mcp_keys_match(struct mcp_keys *keys, const char *pool, const char *given);

#endif
