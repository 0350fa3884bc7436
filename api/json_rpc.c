#include "api/json_rpc.h"

#include "api/json_text.h"
#include "common/cleanup.h"

#include <errno.h>
#include <string.h>

/* A text of JSON may hold NUL, which the names that we know have not. */
static const char *text_of(const json_t *object, const char *key)
{
	const json_t *value = json_object_get(object, key);
	const char *text = json_string_value(value);

	return text && strlen(text) == json_string_length(value) ? text : NULL;
}

int json_rpc_read(const json_t *json, struct json_rpc_message *m, struct error *err)
{
	const json_t *id = json_object_get(json, "id"), *params = json_object_get(json, "params");
	const char *version = text_of(json, "jsonrpc");

	*m = (struct json_rpc_message) { .kind = JSON_RPC_REQUEST };
	if (!json_is_object(json))
		return error_set(err, EINVAL, "A message must be a JSON object.");
	if (json_is_string(id) || json_is_number(id))
		m->id = id;
	if (!version || strcmp(version, "2.0") != 0)
		return error_set(err, EINVAL, "A message must have the member \"jsonrpc\":\"2.0\".");
	if (!json_object_get(json, "method") && (json_object_get(json, "result") || json_object_get(json, "error"))) {
		m->kind = JSON_RPC_RESPONSE;
		return 0;
	}
	m->method = text_of(json, "method");
	if (!m->method)
		return error_set(err, EINVAL, "A message must have a method, which is a string.");
	if (id && !m->id)
		return error_set(err, EINVAL, "The id of a request must be a string or a number.");
	/* Some clients send null where they have none. */
	if (params && !json_is_null(params) && !json_is_object(params))
		return error_set(err, EINVAL, "The params must be an object.");
	if (json_is_object(params))
		m->params = params;
	if (!m->id)
		m->kind = JSON_RPC_NOTIFICATION;
	return 0;
}

static void put_head(struct buffer *out, const json_t *id)
{
	AUTO_FREE char *text = id ? json_dumps(id, JSON_ENCODE_ANY | JSON_COMPACT) : NULL;

	buffer_put_text(out, "{\"jsonrpc\":\"2.0\",\"id\":");
	buffer_put_text(out, text ? text : "null");
}

void json_rpc_put_result(struct buffer *out, const json_t *id, const struct buffer *result)
{
	put_head(out, id);
	buffer_put_text(out, ",\"result\":");
	buffer_put(out, result->data, result->size);
	buffer_put_text(out, "}");
}

void json_rpc_put_error(struct buffer *out, const json_t *id, enum json_rpc_code code, const char *message,
			const char *data)
{
	put_head(out, id);
	buffer_put_format(out, ",\"error\":{\"code\":%d,\"message\":", (int)code);
	json_put_bytes(out, message, strlen(message));
	if (data) {
		buffer_put_text(out, ",\"data\":");
		buffer_put_text(out, data);
	}
	buffer_put_text(out, "}}");
}
