#include "api/mcp_environment.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

void mcp_environment_make(char id[MCP_ENVIRONMENT_SIZE])
{
	char guid[GUID_SIZE];

	guid_make(guid);
	snprintf(id, MCP_ENVIRONMENT_SIZE, "env-%s", guid);
}

void mcp_environment_launch(struct mcp_environments *e, const char *pool, char id[MCP_ENVIRONMENT_SIZE])
{
	struct mcp_launched *l = &e->list[e->next];

	e->next = (e->next + 1) % MCP_LAUNCHED_MAX;
	mcp_environment_make(id);
	memcpy(l->id, id, sizeof(l->id));
	snprintf(l->pool, sizeof(l->pool), "%s", pool);
}

/* Its place; MCP_LAUNCHED_MAX if it is not there. */
static size_t find(const struct mcp_environments *e, const char *pool, const char *id)
{
	size_t i = 0;

	while (i < MCP_LAUNCHED_MAX && (strcmp(e->list[i].id, id) != 0 || strcasecmp(e->list[i].pool, pool) != 0))
		i++;
	return i;
}

bool mcp_environment_is_launched(const struct mcp_environments *e, const char *pool, const char *id)
{
	return *id && find(e, pool, id) < MCP_LAUNCHED_MAX;
}

void mcp_environment_used(struct mcp_environments *e, const char *pool, const char *id)
{
	size_t i = find(e, pool, id);

	if (i < MCP_LAUNCHED_MAX)
		e->list[i].id[0] = '\0';
}
