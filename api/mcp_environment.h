/*
 * Environments that were launched over the Model Context Protocol and not used yet. An environment is a session's
 * identifier; the session is made by its first use, and until then this list alone knows that the identifier was handed
 * out. It is short: a client whose environment fell out of it is told so, and launches another.
 */
#ifndef HEARTH_API_MCP_ENVIRONMENT_H
#define HEARTH_API_MCP_ENVIRONMENT_H

#include "api/guid.h"
#include "api/pool_definition.h"

#include <stdbool.h>
#include <stddef.h>

enum {
	MCP_ENVIRONMENT_SIZE = GUID_SIZE + 4, /* of an identifier that was made here: "env-" and a GUID */
	MCP_LAUNCHED_MAX = 256,
};

/* All zero at first. */
struct mcp_environments {
	struct mcp_launched {
		char id[MCP_ENVIRONMENT_SIZE]; /* "": none */
		char pool[POOL_NAME_SIZE];
	} list[MCP_LAUNCHED_MAX];
	size_t next; /* the place of the next one, whose present holder is the oldest */
};

/* Makes an identifier. */
void mcp_environment_make(char id[MCP_ENVIRONMENT_SIZE]);

/* The same, and remembers it. */
void mcp_environment_launch(struct mcp_environments *e, const char *pool, char id[MCP_ENVIRONMENT_SIZE]);

/* True if it was launched in that pool and not used. */
bool mcp_environment_is_launched(const struct mcp_environments *e, const char *pool, const char *id);

/* Its session exists now, and knows it. */
void mcp_environment_used(struct mcp_environments *e, const char *pool, const char *id);

#endif
