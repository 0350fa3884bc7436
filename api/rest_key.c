/* API keys: made, shown and revoked. A token is in one answer, and in nothing that is kept or logged. */
#include "api/json.h"
#include "api/rest.h"
#include "api/timestamp.h"
#include "common/log.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

enum {
	EXPIRES_MAX_S = 10 * 366 * 86400,
};

/* ---- showing ----------------------------------------------------------------------------------------------------- */

static json_t *time_json(int64_t ms)
{
	char text[TIMESTAMP_SIZE];

	if (ms == 0)
		return json_null();
	timestamp_format(text, ms);
	return json_string(text);
}

static json_t *pools_json(const char *list)
{
	json_t *array = json_array();

	while (*list) {
		size_t length = strcspn(list, " ");

		json_array_append_new(array, json_stringn(list, length));
		list += length + (list[length] == ' ');
	}
	return array;
}

static json_t *key_json(const struct api_key *key)
{
	return json_pack("{s:s, s:s, s:s, s:o, s:s, s:o, s:o, s:o}", "id", key->id, "name", key->name, "role",
			 role_name(key->role), "pools", pools_json(key->pools), "createdBy", key->created_by,
			 "createdAt", time_json(key->created_ms), "expiresAt", time_json(key->expires_ms), "lastUsedAt",
			 time_json(key->last_used_ms));
}

static void respond_not_found(struct http_request *r)
{
	rest_error(r, 404, "KeyNotFound", "There is no API key of that id.");
}

void rest_key_list(struct service *s, struct http_request *r)
{
	const struct api_key *key;
	json_t *array;

	if (!rest_check_version(r))
		return;
	array = json_array();
	for (size_t i = 0; (key = api_keys_at(s->auth.keys, i)); i++)
		json_array_append_new(array, key_json(key));
	rest_json(r, 200, json_pack("{s:o}", "value", array));
}

void rest_key_get(struct service *s, struct http_request *r)
{
	const struct api_key *key;

	if (!rest_check_version(r))
		return;
	key = api_keys_find(s->auth.keys, r->path_name);
	if (key)
		rest_json(r, 200, key_json(key));
	else
		respond_not_found(r);
}

/* ---- making ------------------------------------------------------------------------------------------------------ */

static int read_name(struct api_key *key, const json_t *body, struct error *err)
{
	const char *name = "";
	size_t size = 0;

	if (json_get_text(body, "name", &name, &size, err) < 0)
		return -err->code;
	if (strlen(name) != size || !api_key_name_is_valid(name))
		return error_set(err, EINVAL, "The field 'name' must have at most %d printable ASCII characters.",
				 API_KEY_NAME_SIZE - 1);
	snprintf(key->name, sizeof(key->name), "%s", name);
	return 0;
}

static int read_role(struct api_key *key, const json_t *body, struct error *err)
{
	const char *name = NULL;
	int role;

	if (json_get_text(body, "role", &name, NULL, err) < 0)
		return -err->code;
	role = name ? role_from_name(name) : -1;
	if (role < 0)
		return error_set(err, EINVAL, "The field 'role' must be reader, executor or manager.");
	key->role = (enum role)role;
	return 0;
}

/* Without a list it is all pools; an empty list would be a key for nothing. */
static int read_pools(struct api_key *key, const json_t *body, struct error *err)
{
	const json_t *list = json_find(body, "pools"), *item;
	size_t i;

	if (!list) {
		(void)pool_list_add(key->pools, POOL_LIST_ALL);
		return 0;
	}
	if (!json_is_array(list) || json_array_size(list) == 0)
		return error_set(err, EINVAL, "The field 'pools' must be a list of names of session pools.");
	json_array_foreach(list, i, item)
	{
		const char *name = json_string_value(item);

		if (!name || strlen(name) != json_string_length(item) || !pool_list_add(key->pools, name))
			return error_set(err, EINVAL,
					 "The field 'pools' must be a list of names of session pools, of at most %d "
					 "characters in all.",
					 POOL_LIST_SIZE - 1);
	}
	return 0;
}

static int read_expiry(struct api_key *key, const json_t *body, struct error *err)
{
	int64_t seconds = 0;

	if (!json_find(body, "expiresInSeconds"))
		return 0;
	if (json_get_integer(body, "expiresInSeconds", &seconds, err) < 0)
		return -err->code;
	if (seconds < 1 || seconds > EXPIRES_MAX_S)
		return error_set(err, EINVAL, "The field 'expiresInSeconds' must be from 1 to %d.", EXPIRES_MAX_S);
	key->expires_ms = key->created_ms + seconds * 1000;
	return 0;
}

static void respond_created(struct http_request *r, const struct api_key *key, const char *token)
{
	json_t *json = key_json(key);

	if (json)
		json_object_set_new(json, "token", json_string(token));
	http_add_header(r, "Cache-Control", "no-store");
	rest_json(r, 201, json);
}

void rest_key_post(struct service *s, struct http_request *r)
{
	struct api_key key = { .created_ms = timestamp_now_ms() };
	char token[API_KEY_TOKEN_SIZE];
	struct error err = { 0 };
	json_t *body;

	if (!rest_check_version(r))
		return;
	body = rest_body(r);
	if (!body)
		return;
	memcpy(key.created_by, r->principal->name, sizeof(key.created_by));
	if (read_name(&key, body, &err) < 0 || read_role(&key, body, &err) < 0 || read_pools(&key, body, &err) < 0 ||
	    read_expiry(&key, body, &err) < 0) {
		rest_error(r, 400, "SessionRequestValidationFailed", "%s", err.text);
	} else if (api_keys_create(s->auth.keys, &key, token, &err) == 0) {
		log_info("key=%s created: role=%s pools=\"%s\" by=%s", key.id, role_name(key.role), key.pools,
			 key.created_by);
		respond_created(r, &key, token);
	} else if (err.code == ENOSPC) {
		rest_error(r, 409, "Conflict", "%s", err.text);
	} else {
		rest_storage_error(r, &err);
	}
	explicit_bzero(token, sizeof(token));
	json_decref(body);
}

void rest_key_delete(struct service *s, struct http_request *r)
{
	struct buffer empty = { 0 };
	struct error err = { 0 };
	int rc;

	if (!rest_check_version(r))
		return;
	rc = api_keys_revoke(s->auth.keys, r->path_name, &err);
	if (rc < 0) {
		rest_storage_error(r, &err);
	} else if (rc == 0) {
		respond_not_found(r);
	} else {
		log_info("key=%s revoked by=%s", r->path_name, r->principal->name);
		http_respond(r, 204, NULL, &empty);
	}
}
