/* The methods of the Model Context Protocol that a server of tools has. */
#include "api/json.h"
#include "api/json_text.h"
#include "api/mcp_version.h"
#include "api/mcp_tool.h"

#include <string.h>

/* The versions that begin with a handshake, newest first. */
static const char *const versions[] = { "2025-11-25", "2025-06-18", "2025-03-26", "2024-11-05" };

enum {
	N_VERSIONS = sizeof(versions) / sizeof(versions[0]),
};

/* What Azure's server says to a client that names none. */
#define VERSION_UNNAMED "2025-03-26"

/* The last one that has batches. */
#define VERSION_LAST_WITH_BATCHES "2025-03-26"

static const char *find_version(const char *name)
{
	for (size_t i = 0; i < N_VERSIONS; i++)
		if (strcmp(versions[i], name) == 0)
			return versions[i];
	return NULL;
}

bool mcp_version_is_known(const char *version)
{
	return find_version(version) != NULL;
}

bool mcp_version_has_batches(const char *version)
{
	return strcmp(version, VERSION_LAST_WITH_BATCHES) <= 0;
}

void mcp_put_versions(struct buffer *out)
{
	for (size_t i = 0; i < N_VERSIONS; i++) {
		buffer_put_text(out, i ? "," : "[");
		json_put_text(out, versions[i]);
	}
	buffer_put_text(out, "]");
}

/* One that we do not know gets the newest that we do; the client then goes on with that, or goes. */
static const char *choose_version(const json_t *params)
{
	const char *wanted = json_string_value(json_object_get(params, "protocolVersion"));
	const char *known = wanted ? find_version(wanted) : VERSION_UNNAMED;

	return known ? known : versions[0];
}

/* Azure's capabilities have `call` and `list`; the specification's have `listChanged`. */
static void initialize(struct mcp_exchange *x, const json_t *params)
{
	struct buffer result = { 0 };

	buffer_put_format(&result,
			  "{\"protocolVersion\":\"%s\",\"serverInfo\":{\"name\":\"hearth\",\"title\":\"Hearth code "
			  "interpreter\",\"version\":\"%s\"},\"capabilities\":{\"tools\":{\"listChanged\":false,"
			  "\"call\":true,\"list\":true}},\"instructions\":",
			  choose_version(params), HEARTH_VERSION);
	json_put_text(&result,
		      "Runs code in isolated sandboxes. Calls of one connection share a sandbox, with its variables "
		      "and its files in /mnt/data, until it was not used for some time; isNewEnvironment tells that a "
		      "call began a new one.");
	buffer_put_text(&result, "}");
	mcp_reply(x, &result);
}

static void ping(struct mcp_exchange *x, const json_t *params)
{
	struct buffer result = { 0 };

	(void)params;
	buffer_put_text(&result, "{}");
	mcp_reply(x, &result);
}

static void list_tools(struct mcp_exchange *x, const json_t *params)
{
	struct pool *pool = mcp_tool_pool(x);
	struct buffer result = { 0 };

	(void)params;
	if (!pool)
		return;
	mcp_tool_put_list(pool, &result);
	mcp_reply(x, &result);
}

static void call_tool(struct mcp_exchange *x, const json_t *params)
{
	const json_t *arguments = json_object_get(params, "arguments");
	const char *name = json_string_value(json_object_get(params, "name"));
	struct pool *pool = mcp_tool_pool(x);
	const struct mcp_tool *tool = pool && name ? mcp_tool_find(pool, name) : NULL;

	if (!pool)
		return;
	if (!name)
		mcp_reply_error(x, JSON_RPC_INVALID_PARAMS, "The params must have the name of a tool.", NULL);
	else if (!tool)
		mcp_reply_error(x, JSON_RPC_INVALID_PARAMS, "This pool has no tool of that name: see tools/list.",
				NULL);
	else if (arguments && !json_is_null(arguments) && !json_is_object(arguments))
		mcp_reply_error(x, JSON_RPC_INVALID_PARAMS, "The arguments must be an object.", NULL);
	else
		tool->call(x, tool, arguments);
}

static const struct {
	const char *name;
	void (*answer)(struct mcp_exchange *x, const json_t *params);
} methods[] = {
	{ "initialize", initialize },
	{ "ping", ping },
	{ "tools/list", list_tools },
	{ "tools/call", call_tool },
};

void mcp_notice(struct mcp_exchange *x, const struct json_rpc_message *message)
{
	const json_t *id = json_object_get(message->params, "requestId");

	if (strcmp(message->method, "notifications/cancelled") == 0 && id)
		mcp_exchange_cancel(x, id);
}

void mcp_handle(struct mcp_exchange *x, const struct json_rpc_message *message)
{
	for (size_t i = 0; i < sizeof(methods) / sizeof(methods[0]); i++) {
		if (strcmp(methods[i].name, message->method) == 0) {
			methods[i].answer(x, message->params);
			return;
		}
	}
	mcp_reply_error(x, JSON_RPC_METHOD_NOT_FOUND, "This server has no such method: it has tools only.", NULL);
}
