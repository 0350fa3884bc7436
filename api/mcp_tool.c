#include "api/mcp_tool.h"

#include "api/json.h"
#include "api/json_text.h"
#include "api/mcp_environment.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

static bool is_of_any(enum pool_container_type type)
{
	(void)type;
	return true;
}

static bool is_of_interpreters(enum pool_container_type type)
{
	return type == POOL_PYTHON_LTS || type == POOL_NODE_LTS;
}

static bool is_of_python(enum pool_container_type type)
{
	return type == POOL_PYTHON_LTS;
}

static bool is_of_shell(enum pool_container_type type)
{
	return type == POOL_SHELL;
}

static bool has_shell_launch(enum pool_container_type type)
{
	return is_of_python(type) || is_of_shell(type);
}

/* ---- launching --------------------------------------------------------------------------------------------------- */

/* Nothing runs until it is used. */
static void launch(struct mcp_exchange *x, const struct mcp_tool *tool, const json_t *arguments)
{
	struct mcp_result result = { 0 };
	char id[MCP_ENVIRONMENT_SIZE], text[128];

	(void)tool;
	(void)arguments;
	mcp_environment_launch(&x->service->mcp_environments, x->pool, id);
	snprintf(text, sizeof(text), "Launched the environment %s: name it as environmentId.", id);
	mcp_result_text(&result, text, strlen(text));
	mcp_result_begin_member(&result, "environmentId");
	json_put_text(&result.members, id);
	mcp_result_reply(x, &result, false);
}

/* ---- the tools --------------------------------------------------------------------------------------------------- */

#define TIMEOUT "\"timeoutInSeconds\":{\"type\":\"integer\",\"minimum\":1,\"description\":\"Time limit of this code.\"}"
#define CODE(name, text)                                                                                               \
	"\"" name "\":{\"type\":\"string\",\"description\":\"" text "\"}"                                              \
	"," TIMEOUT
#define COMMAND                                                                                                        \
	"\"shellCommand\":{\"type\":\"string\",\"description\":\"A command for bash -lc.\"},"                          \
	"\"execCommandAndArgs\":{\"type\":\"array\",\"items\":{\"type\":\"string\"},\"minItems\":1,\"description\":"   \
	"\"Instead of shellCommand: a program and its arguments, without a shell.\"},"                                 \
	"\"stdin\":{\"type\":\"string\",\"description\":\"What the command reads from its standard input.\"}," TIMEOUT
#define PATH "\"path\":{\"type\":\"string\",\"description\":\"Path of the file, from /mnt/data.\"}"

static const struct mcp_tool tools[] = {
	{
		.name = "run_python",
		.title = "Run Python",
		.description = "Runs Python code in an isolated sandbox and returns its output, the value of its last "
			       "expression and the pictures that it shows. Variables, imports and the files in "
			       "/mnt/data, where it runs, are kept between calls. numpy, pandas and matplotlib are "
			       "there.",
		.properties = CODE("code", "Python code, as for a notebook's cell."),
		.required = "\"code\"",
		.is_of = is_of_interpreters,
		.call = mcp_execute,
		.language = AGENT_PYTHON,
	},
	{
		.name = "run_node",
		.title = "Run JavaScript",
		.description = "Runs JavaScript in Node.js in an isolated sandbox and returns its output and the value "
			       "of its last expression. Variables and the files in /mnt/data are kept between calls, "
			       "and files are shared with run_python.",
		.properties = CODE("code", "JavaScript code, as for Node's prompt."),
		.required = "\"code\"",
		.is_of = is_of_interpreters,
		.call = mcp_execute,
		.language = AGENT_NODE,
	},
	{
		.name = "run_shell",
		.title = "Run a shell command",
		.description = "Runs a command with bash in an isolated sandbox and returns its output and exit "
			       "status. It starts in /mnt/data, whose files are kept between calls; shell variables "
			       "are not. python3 and node are there.",
		.properties = COMMAND,
		.required = "",
		.is_of = is_of_shell,
		.call = mcp_execute,
		.language = AGENT_SHELL,
	},
	{
		.name = "upload_file",
		.title = "Upload a file",
		.description = "Writes a file into the sandbox's folder /mnt/data, in place of one of that name.",
		.properties = PATH ",\"content\":{\"type\":\"string\",\"description\":\"The file's text.\"},"
				   "\"contentBase64\":{\"type\":\"string\",\"contentEncoding\":\"base64\","
				   "\"description\":\"Instead of content: the file's bytes in base64.\"}",
		.required = "\"path\"",
		.is_of = is_of_any,
		.call = mcp_upload_file,
	},
	{
		.name = "download_file",
		.title = "Download a file",
		.description = "Reads a file of the sandbox's folder /mnt/data: texts as text, pictures as images, "
			       "anything else as base64.",
		.properties = PATH ",\"encoding\":{\"type\":\"string\",\"enum\":[\"auto\",\"text\",\"base64\"],"
				   "\"description\":\"auto goes by the name's ending.\"}",
		.required = "\"path\"",
		.is_of = is_of_any,
		.call = mcp_download_file,
		.is_read_only = true,
	},
	{
		.name = "list_files",
		.title = "List files",
		.description = "Lists the files of the sandbox's folder /mnt/data, or of a folder in it.",
		.properties = "\"path\":{\"type\":\"string\",\"description\":\"A folder, from /mnt/data.\"},"
			      "\"recursive\":{\"type\":\"boolean\",\"description\":\"The folders in it, too.\"}",
		.required = "",
		.is_of = is_of_any,
		.call = mcp_list_files,
		.is_read_only = true,
	},
	{
		.name = "launchPythonEnvironment",
		.title = "Launch a Python environment",
		.description = "Launches a new, empty sandbox and returns its environmentId, which "
			       "runPythonCodeInRemoteEnvironment needs.",
		.properties = NULL,
		.required = "",
		.is_of = is_of_python,
		.call = launch,
	},
	{
		.name = "launchShell",
		.title = "Launch an environment",
		.description = "Launches a new, empty sandbox and returns its environmentId, which the tools that run "
			       "something in a remote environment need.",
		.properties = NULL,
		.required = "",
		.is_of = has_shell_launch,
		.call = launch,
	},
	{
		.name = "runPythonCodeInRemoteEnvironment",
		.title = "Run Python in an environment",
		.description = "Runs Python code in the sandbox that launchPythonEnvironment launched. Variables and "
			       "files are kept between calls.",
		.properties = CODE("pythonCode", "Python code, as for a notebook's cell."),
		.required = "\"environmentId\",\"pythonCode\"",
		.is_of = is_of_python,
		.call = mcp_execute,
		.needs_launch = true,
		.language = AGENT_PYTHON,
	},
	{
		.name = "runShellCommandInRemoteEnvironment",
		.title = "Run a shell command in an environment",
		.description = "Runs a command with bash in the sandbox that launchShell launched. It starts in "
			       "/mnt/data, whose files are kept between calls; shell variables are not.",
		.properties = COMMAND,
		.required = "\"environmentId\"",
		.is_of = is_of_shell,
		.call = mcp_execute,
		.needs_launch = true,
		.language = AGENT_SHELL,
	},
};

enum {
	N_TOOLS = sizeof(tools) / sizeof(tools[0]),
};

const struct mcp_tool *mcp_tool_find(const struct pool *pool, const char *name)
{
	enum pool_container_type type = pool_definition_of(pool)->container_type;

	for (size_t i = 0; i < N_TOOLS; i++)
		if (strcmp(tools[i].name, name) == 0)
			return tools[i].is_of(type) ? &tools[i] : NULL;
	return NULL;
}

/* A model that is not told tries to install packages, or does not try. */
static void put_description(const struct mcp_tool *tool, bool has_network, struct buffer *out)
{
	char text[640];

	snprintf(text, sizeof(text), "%s%s", tool->description,
		 tool->call != mcp_execute ? ""
		 : has_network             ? " It has a network, as far as the pool's policy allows."
					   : " There is no network.");
	json_put_text(out, text);
}

static void put_tool(const struct mcp_tool *tool, bool has_network, struct buffer *out)
{
	static const char environment[] =
		"\"environmentId\":{\"type\":\"string\",\"maxLength\":256,\"description\":\"The sandbox; without it, "
		"that of this connection.\"},";
	static const char launched[] =
		"\"environmentId\":{\"type\":\"string\",\"maxLength\":256,\"description\":\"The sandbox that was "
		"launched.\"},";

	buffer_put_text(out, "{\"name\":");
	json_put_text(out, tool->name);
	buffer_put_text(out, ",\"title\":");
	json_put_text(out, tool->title);
	buffer_put_text(out, ",\"description\":");
	put_description(tool, has_network, out);
	buffer_put_text(out, ",\"inputSchema\":{\"type\":\"object\",\"properties\":{");
	if (tool->properties) {
		buffer_put_text(out, tool->needs_launch ? launched : environment);
		buffer_put_text(out, tool->properties);
	}
	buffer_put_format(out, "},\"required\":[%s]},\"annotations\":{\"title\":", tool->required);
	json_put_text(out, tool->title);
	buffer_put_format(out, ",\"readOnlyHint\":%s,\"openWorldHint\":%s}}", tool->is_read_only ? "true" : "false",
			  has_network && tool->call == mcp_execute ? "true" : "false");
}

void mcp_tool_put_list(const struct pool *pool, struct buffer *out)
{
	enum pool_container_type type = pool_definition_of(pool)->container_type;
	bool has_network = pool_definition_of(pool)->network == POOL_EGRESS_ENABLED;
	bool is_first = true;

	buffer_put_text(out, "{\"tools\":[");
	for (size_t i = 0; i < N_TOOLS; i++) {
		if (!tools[i].is_of(type))
			continue;
		if (!is_first)
			buffer_put_text(out, ",");
		is_first = false;
		put_tool(&tools[i], has_network, out);
	}
	buffer_put_text(out, "]}");
}

/* ---- what calls share -------------------------------------------------------------------------------------------- */

struct pool *mcp_tool_pool(struct mcp_exchange *x)
{
	struct pool *pool = pools_find(x->service->pools, x->pool);

	if (!pool)
		mcp_tool_fail(x, "The session pool '%s' was deleted.", x->pool);
	return pool;
}

/* Clients of Azure look for the two words, and launch another. */
static bool check_launched(struct mcp_exchange *x, const char *id)
{
	struct pool *pool = pools_find(x->service->pools, x->pool);
	struct session_info info;
	char message[REST_IDENTIFIER_MAX + 128];

	if (mcp_environment_is_launched(&x->service->mcp_environments, x->pool, id) ||
	    (pool && sessions_find(pool_sessions(pool), id, &info)))
		return true;
	snprintf(message, sizeof(message), "The environment '%s' was not found: it has ended, or was never launched.",
		 id);
	mcp_reply_error(x, JSON_RPC_INVALID_PARAMS, message, NULL);
	return false;
}

bool mcp_tool_environment(struct mcp_exchange *x, const struct mcp_tool *tool, const json_t *arguments,
			  char id[REST_IDENTIFIER_MAX + 1])
{
	const char *text = NULL;
	char made[MCP_ENVIRONMENT_SIZE];
	struct error err = { 0 };
	size_t size = 0;

	if (json_get_text(arguments, "environmentId", &text, &size, &err) < 0) {
		mcp_tool_fail(x, "%s", err.text);
		return false;
	}
	if (text && (size == 0 || size > REST_IDENTIFIER_MAX || strlen(text) != size || !rest_is_printable(text))) {
		mcp_tool_fail(x, "The field 'environmentId' must be of 1 to %d printable ASCII characters.",
			      REST_IDENTIFIER_MAX);
		return false;
	}
	if (text) {
		snprintf(id, REST_IDENTIFIER_MAX + 1, "%s", text);
		return !tool->needs_launch || check_launched(x, id);
	}
	mcp_environment_make(made);
	if (x->session_id[0])
		snprintf(id, REST_IDENTIFIER_MAX + 1, MCP_SESSION_PREFIX "%s", x->session_id);
	else
		snprintf(id, REST_IDENTIFIER_MAX + 1, "%s", made);
	return true;
}
