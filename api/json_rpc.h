/* JSON-RPC 2.0 as the Model Context Protocol uses it: one message taken apart, and the frames of answers. Pure logic. */
#ifndef HEARTH_API_JSON_RPC_H
#define HEARTH_API_JSON_RPC_H

#include "api/buffer.h"
#include "common/error.h"

#include <jansson.h>

/* Codes of errors: those of JSON-RPC, and those of the Model Context Protocol. */
enum json_rpc_code {
	JSON_RPC_PARSE_ERROR = -32700,
	JSON_RPC_INVALID_REQUEST = -32600,
	JSON_RPC_METHOD_NOT_FOUND = -32601,
	JSON_RPC_INVALID_PARAMS = -32602,
	JSON_RPC_INTERNAL_ERROR = -32603,
	JSON_RPC_CANCELLED = -32800,           /* as the Language Server Protocol has it; nobody waits for it */
	JSON_RPC_UNSUPPORTED_VERSION = -32022, /* `data` names those that are supported */
};

enum json_rpc_kind {
	JSON_RPC_REQUEST,
	JSON_RPC_NOTIFICATION,
	JSON_RPC_RESPONSE, /* to a request of ours, of which there are none */
};

struct json_rpc_message {
	enum json_rpc_kind kind;
	const json_t *id;     /* of a request: a string or a number */
	const char *method;   /* but of a response */
	const json_t *params; /* an object; NULL if there are none */
};

/*
 * Takes a message apart, which must outlive *message. 0, or -EINVAL with *err saying what is wrong; then message->id is
 * the id that it has, if that is one, else NULL.
 */
int json_rpc_read(const json_t *json, struct json_rpc_message *message, struct error *err);

/* Appends an answer: {"jsonrpc":"2.0","id":<id>,"result":<result>}. The result is JSON. */
void json_rpc_put_result(struct buffer *out, const json_t *id, const struct buffer *result);

/* Appends an answer with an error. A NULL id is null. `data` is JSON, or NULL for none. */
void json_rpc_put_error(struct buffer *out, const json_t *id, enum json_rpc_code code, const char *message,
			const char *data);

#endif
