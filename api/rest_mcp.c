/*
 * The MCP server of a pool: what HTTP has to do with it. POST brings messages, DELETE ends a session of the protocol. Such
 * a session is nothing but an id, which is made here and names the session of the pool whose sandbox its calls share.
 */
#include "api/json.h"
#include "api/mcp_exchange.h"
#include "api/mcp_tool.h"
#include "api/mcp_version.h"
#include "common/cleanup.h"
#include "common/log.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

/* ---- checks ------------------------------------------------------------------------------------------------------ */

/* The length of the origin's part that `prefix` is, if it goes on with a port or ends; 0 if it is another. */
static bool is_host(const char *origin, const char *prefix)
{
	size_t length = strlen(prefix);

	return strncasecmp(origin, prefix, length) == 0 && (origin[length] == '\0' || origin[length] == ':');
}

static bool is_in_list(const char *list, const char *word)
{
	size_t size = strlen(word);

	while (list && *list) {
		size_t length = strcspn(list, " ");

		if (length == size && strncasecmp(list, word, size) == 0)
			return true;
		list += length + (list[length] == ' ');
	}
	return false;
}

/*
 * A browser says which page a request comes from. A page of elsewhere must not reach a server on this machine or behind
 * this network's doors, by whatever name it calls it (DNS rebinding). False after an answer was given.
 */
static bool check_origin(const struct service *s, struct http_request *r)
{
	static const char *const loopback[] = {
		"http://localhost",  "https://localhost", "http://127.0.0.1",
		"https://127.0.0.1", "http://[::1]",      "https://[::1]",
	};
	const char *origin = http_request_header(r, "Origin");

	if (!origin || is_in_list(s->mcp_origins, origin))
		return true;
	for (size_t i = 0; i < sizeof(loopback) / sizeof(loopback[0]); i++)
		if (is_host(origin, loopback[i]))
			return true;
	rest_error(r, 403, "OriginNotAllowed",
		   "Pages of this origin may not use the MCP server: the setting mcp-allowed-origins names those that "
		   "may.");
	return false;
}

static struct pool *find_pool(struct service *s, struct http_request *r)
{
	struct pool *pool = rest_check_version(r) ? rest_pool(s, r) : NULL;
	const struct pool_definition *d = pool ? pool_definition_of(pool) : NULL;

	if (!d || d->mcp_is_enabled)
		return pool;
	rest_error(r, 400, "SessionMCPServerNotEnabled", "Session pool '%s' does not have MCP Server enabled.",
		   d->name);
	return NULL;
}

/* An answer to the body as a whole, which is a message of no id. */
static void refuse(struct http_request *r, enum json_rpc_code code, const char *message, const char *data)
{
	struct buffer json = { 0 };

	json_rpc_put_error(&json, NULL, code, message, data);
	http_respond(r, 400, REST_JSON, &json);
}

/* True if a version that the client names is one of ours; none is fine. False after an answer was given. */
static bool check_protocol(struct http_request *r)
{
	const char *version = http_request_header(r, "MCP-Protocol-Version");
	struct buffer data = { 0 };

	if (!version || mcp_version_is_known(version))
		return true;
	buffer_put_text(&data, "{\"supported\":");
	mcp_put_versions(&data);
	buffer_put(&data, "}", 2);
	refuse(r, JSON_RPC_UNSUPPORTED_VERSION, "This version of the protocol is not supported.", data.data);
	buffer_fini(&data);
	return false;
}

/* The client's, "" if it has none. NULL after an answer was given. */
static const char *session_id_of(struct http_request *r)
{
	const char *id = http_request_header(r, "Mcp-Session-Id");

	if (!id)
		return "";
	if (*id && strlen(id) < MCP_SESSION_ID_SIZE && rest_is_printable(id))
		return id;
	refuse(r, JSON_RPC_INVALID_REQUEST, "The Mcp-Session-Id is none of this server's.", NULL);
	return NULL;
}

/* ---- POST -------------------------------------------------------------------------------------------------------- */

static bool has_initialize(const json_t *body)
{
	const char *method = json_string_value(json_object_get(body, "method"));

	return method && strcmp(method, "initialize") == 0;
}

/* False after an answer was given. */
static bool check_batch(struct http_request *r, const json_t *body)
{
	const char *version = http_request_header(r, "MCP-Protocol-Version");

	if (!json_is_array(body))
		return true;
	if (version && !mcp_version_has_batches(version))
		refuse(r, JSON_RPC_INVALID_REQUEST,
		       "This version of the protocol has no batches: send each message "
		       "by itself.",
		       NULL);
	else if (json_array_size(body) == 0)
		refuse(r, JSON_RPC_INVALID_REQUEST, "The batch is empty.", NULL);
	else if (json_array_size(body) > MCP_BATCH_MAX)
		refuse(r, JSON_RPC_INVALID_REQUEST, "The batch has too many messages: send at most 50.", NULL);
	else
		return true;
	return false;
}

/* NULL after an answer was given. */
static json_t *read_body(struct http_request *r)
{
	struct error err = { 0 };
	json_t *body = json_parse(r->body.size ? r->body.data : "", r->body.size, &err);

	if (!body)
		refuse(r, JSON_RPC_PARSE_ERROR, err.text, NULL);
	if (body && !check_batch(r, body)) {
		json_decref(body);
		body = NULL;
	}
	return body;
}

void rest_mcp_post(struct service *s, struct http_request *r)
{
	struct pool *pool = check_origin(s, r) ? find_pool(s, r) : NULL;
	const char *session_id = pool ? session_id_of(r) : NULL;
	json_t *body = session_id ? read_body(r) : NULL;
	char made[GUID_SIZE];

	if (!body)
		return;
	/* The version of a handshake is in its params: what a header says before is another's. */
	if (has_initialize(body)) {
		guid_make(made);
		session_id = made;
		http_add_header(r, "Mcp-Session-Id", made);
	} else if (!check_protocol(r)) {
		json_decref(body);
		return;
	}
	mcp_exchange_start(s, pool, r, body, session_id);
}

/* ---- DELETE ------------------------------------------------------------------------------------------------------ */

/* What the calls of a session shared goes with it; it may never have been made. */
void rest_mcp_delete(struct service *s, struct http_request *r)
{
	struct pool *pool = check_origin(s, r) ? find_pool(s, r) : NULL;
	const char *session_id = pool ? session_id_of(r) : NULL;
	char id[MCP_SESSION_ID_SIZE + sizeof(MCP_SESSION_PREFIX)];
	struct buffer empty = { 0 };

	if (!session_id)
		return;
	if (!*session_id) {
		refuse(r, JSON_RPC_INVALID_REQUEST, "The header Mcp-Session-Id is missing: it names what ends.", NULL);
		return;
	}
	snprintf(id, sizeof(id), MCP_SESSION_PREFIX "%s", session_id);
	sessions_end(pool_sessions(pool), id);
	http_respond(r, 204, NULL, &empty);
}

/* ---- the pool's key ---------------------------------------------------------------------------------------------- */

bool rest_mcp_identify(struct service *s, const struct http_request *r, const char *given, struct principal *principal)
{
	struct pool *pool = pools_find(s->pools, r->pool);
	const struct pool_definition *d = pool ? pool_definition_of(pool) : NULL;

	if (!d || !s->mcp_keys || !d->mcp_is_enabled || d->mcp_key_is_disabled ||
	    !mcp_keys_match(s->mcp_keys, d->name, given))
		return false;
	*principal = (struct principal) { .role = ROLE_EXECUTOR };
	snprintf(principal->pools, sizeof(principal->pools), "%s", d->name);
	principal_set_name(principal, "mcp-key", d->name);
	return true;
}

static void answer_key(struct service *s, struct http_request *r,
		       int (*get)(struct mcp_keys *, const char *, char *, struct error *))
{
	struct pool *pool = find_pool(s, r);
	const struct pool_definition *d = pool ? pool_definition_of(pool) : NULL;
	char key[MCP_KEY_SIZE];
	struct error err = { 0 };

	if (!pool)
		return;
	if (get(s->mcp_keys, d->name, key, &err) < 0) {
		rest_storage_error(r, &err);
		return;
	}
	http_add_header(r, "Cache-Control", "no-store");
	rest_json(r, 200, json_pack("{s:s}", "apiKey", key));
	explicit_bzero(key, sizeof(key));
}

void rest_mcp_fetch_key(struct service *s, struct http_request *r)
{
	answer_key(s, r, mcp_keys_fetch);
}

void rest_mcp_rotate_key(struct service *s, struct http_request *r)
{
	answer_key(s, r, mcp_keys_rotate);
}
