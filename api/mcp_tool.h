/*
 * The tools of a pool's MCP server: their names, what they take, and the functions behind them. Two sets of names: Azure's
 * own, whose environments are launched first, and Hearth's, which need no launching.
 */
#ifndef HEARTH_API_MCP_TOOL_H
#define HEARTH_API_MCP_TOOL_H

#include "api/mcp_exchange.h"

/* Before the id of a session of the protocol this makes the identifier of the session that it has. */
#define MCP_SESSION_PREFIX "mcp-"

struct mcp_tool {
	const char *name;
	const char *title;
	const char *description; /* for a language model */
	const char *properties;  /* members of its input's JSON schema, but for environmentId */
	const char *required;    /* names in quotation marks with commas between; "" if none */
	bool (*is_of)(enum pool_container_type type);
	void (*call)(struct mcp_exchange *x, const struct mcp_tool *tool, const json_t *arguments);
	bool is_read_only;
	bool needs_launch;            /* environments that nobody launched are refused */
	enum agent_language language; /* of those that run code */
};

/* The tool of that name that the pool has, or NULL. */
const struct mcp_tool *mcp_tool_find(const struct pool *pool, const char *name);

/* Appends the result of tools/list. */
void mcp_tool_put_list(const struct pool *pool, struct buffer *out);

/*
 * The session that a call is about: the argument environmentId, else the protocol's session, else a new one. False after
 * an answer was given.
 */
bool mcp_tool_environment(struct mcp_exchange *x, const struct mcp_tool *tool, const json_t *arguments,
			  char id[REST_IDENTIFIER_MAX + 1]);

/* The pool of the exchange. NULL, after an answer was given, if it was deleted. */
struct pool *mcp_tool_pool(struct mcp_exchange *x);

/* Answers that the tool could not do what was asked for, so that a language model reads why. */
void mcp_tool_fail(struct mcp_exchange *x, const char *format, ...) __attribute__((format(printf, 2, 3)));

/*
 * What a tool gives: items of content, for language models and people, and members of one structured object, for programs.
 * All zero at first.
 */
struct mcp_result {
	struct buffer content;
	struct buffer members;
};

void mcp_result_fini(struct mcp_result *result);

/* Begins an item: what is put into the content until mcp_result_end_item() are its members. */
void mcp_result_begin_item(struct mcp_result *result, const char *type);
void mcp_result_end_item(struct mcp_result *result);

/* An item of text, which need not be UTF-8. */
void mcp_result_text(struct mcp_result *result, const void *text, size_t size);

/* Begins a member: its value is what is put into the members next. */
void mcp_result_begin_member(struct mcp_result *result, const char *name);

/* Answers with it; it is taken over. */
void mcp_result_reply(struct mcp_exchange *x, struct mcp_result *result, bool is_error);

/* The functions behind the tools: in mcp_execute.c and mcp_files.c. */
void mcp_execute(struct mcp_exchange *x, const struct mcp_tool *tool, const json_t *arguments);
void mcp_upload_file(struct mcp_exchange *x, const struct mcp_tool *tool, const json_t *arguments);
void mcp_download_file(struct mcp_exchange *x, const struct mcp_tool *tool, const json_t *arguments);
void mcp_list_files(struct mcp_exchange *x, const struct mcp_tool *tool, const json_t *arguments);

#endif
