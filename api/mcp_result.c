/* Building what a tool gives. */
#include "api/json_text.h"
#include "api/mcp_tool.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

void mcp_result_fini(struct mcp_result *result)
{
	buffer_fini(&result->content);
	buffer_fini(&result->members);
}

void mcp_result_begin_item(struct mcp_result *result, const char *type)
{
	if (result->content.size)
		buffer_put_text(&result->content, ",");
	buffer_put_format(&result->content, "{\"type\":\"%s\",", type);
}

void mcp_result_end_item(struct mcp_result *result)
{
	buffer_put_text(&result->content, "}");
}

void mcp_result_text(struct mcp_result *result, const void *text, size_t size)
{
	mcp_result_begin_item(result, "text");
	buffer_put_text(&result->content, "\"text\":");
	json_put_bytes(&result->content, text, size);
	mcp_result_end_item(result);
}

void mcp_result_begin_member(struct mcp_result *result, const char *name)
{
	buffer_put_format(&result->members, "%s\"%s\":", result->members.size ? "," : "", name);
}

void mcp_result_reply(struct mcp_exchange *x, struct mcp_result *result, bool is_error)
{
	struct buffer json = { 0 };

	buffer_put_text(&json, "{\"content\":[");
	buffer_put(&json, result->content.data, result->content.size);
	buffer_put_text(&json, "]");
	if (result->members.size) {
		buffer_put_text(&json, ",\"structuredContent\":{");
		buffer_put(&json, result->members.data, result->members.size);
		buffer_put_text(&json, "}");
	}
	buffer_put_format(&json, ",\"isError\":%s}", is_error ? "true" : "false");
	if (result->content.failed || result->members.failed) {
		buffer_fini(&json);
		json.failed = true;
	}
	mcp_result_fini(result);
	mcp_reply(x, &json);
}

void mcp_tool_fail(struct mcp_exchange *x, const char *format, ...)
{
	struct mcp_result result = { 0 };
	char message[1024];
	va_list args;

	va_start(args, format);
	vsnprintf(message, sizeof(message), format, args);
	va_end(args);
	mcp_result_text(&result, message, strlen(message));
	mcp_result_reply(x, &result, true);
}
