/*
 * Pools as ARM resources. What is asked for is tried on the running pools first, since only they know whether it can be
 * had, and then kept; where keeping fails the pools run as before. Every call is over when it is answered.
 */
#include "api/pool_address.h"
#include "api/pool_resource.h"
#include "api/rest.h"
#include "api/timestamp.h"
#include "common/log.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

/* ---- what is there ----------------------------------------------------------------------------------------------- */

/*
 * 1 with *record filled, 0 if there is no such pool, negative with *err filled. A pool that runs without having been
 * created, which is the default one, is made up of its definition.
 */
static int find_record(struct service *s, const char *name, struct pool_record *record, struct error *err)
{
	struct pool *pool = pools_find(s->pools, name);
	int rc = pool ? pool_store_get(s->store, name, record, err) : 0;

	if (!pool || rc != 0)
		return rc;
	*record = (struct pool_record) {
		.definition = *pool_definition_of(pool),
		.tags = "{}",
		.created_ms = s->started_ms,
		.modified_ms = s->started_ms,
	};
	return 1;
}

/* The forms of a resource changed with the first version of 2025. Versions compare as texts. */
static bool wants_old_form(const struct http_request *r)
{
	const char *version = url_parameter(&r->url, "api-version");

	return version && strcmp(version, "2025") < 0;
}

/* What runs of the pool at this moment; Hearth's own. */
static json_t *instances_json(const struct pool *pool)
{
	struct pool_counts c = pool_count(pool);

	return json_pack("{s:I, s:I, s:I, s:I, s:I, s:s}", "allocated", (json_int_t)c.sessions.n_sessions, "busy",
			 (json_int_t)c.sessions.n_busy, "suspended", (json_int_t)c.sessions.n_suspended, "ready",
			 (json_int_t)c.n_ready, "preparing", (json_int_t)c.n_preparing, "template", c.template_state);
}

/* NULL if there is no memory. */
static json_t *resource_json(const struct service *s, const struct http_request *r, const struct pool_record *record)
{
	const char *name = record->definition.name;
	struct pool *pool = pools_find(s->pools, name);
	struct buffer id = { 0 }, endpoint = { 0 };
	json_t *json = NULL;

	pool_address_put_id(&id, r, name);
	pool_address_put_endpoint(&endpoint, r, name);
	buffer_put(&id, "", 1);
	buffer_put(&endpoint, "", 1);
	if (!id.failed && !endpoint.failed)
		json = pool_resource_write(record, &(struct pool_address) { id.data, endpoint.data },
					   wants_old_form(r));
	if (json && pool)
		json_object_set_new(json_object_get(json, "properties"), "instances", instances_json(pool));
	buffer_fini(&id);
	buffer_fini(&endpoint);
	return json;
}

/* ---- answers ----------------------------------------------------------------------------------------------------- */

static void respond_resource(struct service *s, struct http_request *r, unsigned int status,
			     const struct pool_record *record)
{
	rest_json(r, status, resource_json(s, r, record));
}

static void respond_not_found(struct http_request *r)
{
	if (pool_name_is_valid(r->pool))
		rest_error(r, 404, "ResourceNotFound", "There is no session pool '%s'.", r->pool);
	else
		rest_error(r, 404, "ResourceNotFound", "The path names no session pool.");
}

static void respond_pools_error(struct http_request *r, const struct error *err)
{
	switch (err->code) {
	case POOLS_NO_IDENTITY:
		rest_error(r, 404, "IdentityNotFound", "%s", err->text);
		break;
	case POOLS_NO_TEMPLATE:
		rest_error(r, 404, "TemplateNotFound", "%s", err->text);
		break;
	case POOLS_NO_IMAGE:
		rest_error(r, 404, "ImageNotFound", "%s", err->text);
		break;
	case POOLS_NOT_SUPPORTED:
		rest_error(r, 400, "SessionRequestValidationFailed", "%s", err->text);
		break;
	case POOLS_IS_DEFAULT:
		rest_error(r, 409, "Conflict", "%s", err->text);
		break;
	case POOLS_NOT_FOUND:
		respond_not_found(r);
		break;
	default:
		rest_error(r, 500, "InternalServerError", "%s", err->text);
	}
}

/* ---- reading ----------------------------------------------------------------------------------------------------- */

void rest_pool_get(struct service *s, struct http_request *r)
{
	struct pool_record record;
	struct error err = { 0 };
	int rc;

	if (!rest_check_version(r))
		return;
	rc = find_record(s, r->pool, &record, &err);
	if (rc < 0)
		rest_storage_error(r, &err);
	else if (rc == 0)
		respond_not_found(r);
	else
		respond_resource(s, r, 200, &record);
}

void rest_pool_list(struct service *s, struct http_request *r)
{
	struct pool_record record;
	struct error err = { 0 };
	json_t *array;

	if (!rest_check_version(r))
		return;
	array = json_array();
	for (struct pool *pool = pools_next(s->pools, NULL); pool; pool = pools_next(s->pools, pool)) {
		const char *name = pool_definition_of(pool)->name;

		if (!principal_may(r->principal, ROLE_READER, name))
			continue;
		if (find_record(s, name, &record, &err) < 0) {
			json_decref(array);
			rest_storage_error(r, &err);
			return;
		}
		json_array_append_new(array, resource_json(s, r, &record));
	}
	rest_json(r, 200, json_pack("{s:o}", "value", array));
}

/* ---- changing ---------------------------------------------------------------------------------------------------- */

/* Back to what ran before the change. */
static void undo(struct service *s, const struct pool_definition *before, const char *name)
{
	struct error err = { 0 };

	if ((before ? pools_put(s->pools, before, &err) : pools_delete(s->pools, name, &err)) < 0)
		log_error("pool=%s cannot be put back: %s", name, err.text);
}

/* Runs the pool as the record says, and keeps it. */
static void put(struct service *s, struct http_request *r, const struct pool_record *record)
{
	struct pool *pool = pools_find(s->pools, record->definition.name);
	struct pool_definition before;
	struct error err = { 0 };

	if (pool)
		before = *pool_definition_of(pool);
	if (pools_put(s->pools, &record->definition, &err) < 0) {
		respond_pools_error(r, &err);
		return;
	}
	if (pool_store_put(s->store, record, &err) < 0) {
		undo(s, pool ? &before : NULL, record->definition.name);
		rest_storage_error(r, &err);
		return;
	}
	respond_resource(s, r, pool ? 200 : 201, record);
}

/* A value for the lifecycle that the pool has not is kept, too: it has to be good when the pool is given that one. */
static int check_definition(const struct pool_definition *d, const struct pool_limits *limits, struct error *err)
{
	struct pool_definition other = *d;

	other.lifecycle = d->lifecycle == POOL_TIMED ? POOL_MAX_LIFETIME : POOL_TIMED;
	if (pool_definition_check(d, limits, err) < 0 || pool_definition_check(&other, limits, err) < 0)
		return -err->code;
	return 0;
}

/* Reads the body over *record, whose type a PATCH does not change. False after an answer was given. */
static bool read_body(const struct service *s, struct http_request *r, struct pool_record *record, bool is_patch)
{
	enum pool_container_type type = record->definition.container_type;
	json_t *body = rest_body(r);
	struct error err = { 0 };
	int rc;

	if (!body)
		return false;
	rc = pool_resource_read(record, body, &err);
	json_decref(body);
	if (rc == 0 && is_patch && record->definition.container_type != type) {
		rest_error(r, 409, "PropertyChangeNotAllowed",
			   "The property 'containerType' cannot be changed: the pool is of type %s.",
			   pool_container_type_name(type));
		return false;
	}
	if (rc == 0)
		rc = check_definition(&record->definition, &s->pool_limits, &err);
	if (rc < 0)
		rest_error(r, 400, "SessionRequestValidationFailed", "%s", err.text);
	return rc == 0;
}

/* False after an answer was given. */
static bool check_name(struct http_request *r)
{
	if (pool_name_is_valid(r->pool))
		return true;
	rest_error(r, 400, "SessionRequestValidationFailed",
		   "A session pool's name has 2 to 63 letters, digits and hyphens, and begins with no hyphen.");
	return false;
}

void rest_pool_put(struct service *s, struct http_request *r)
{
	struct pool_record before, record = { .tags = "{}" };
	struct error err = { 0 };
	int rc;

	if (!rest_check_version(r))
		return;
	if (!check_name(r))
		return;
	rc = find_record(s, r->pool, &before, &err);
	if (rc < 0) {
		rest_storage_error(r, &err);
		return;
	}
	record.definition = pool_definition_default(rc ? before.definition.name : r->pool);
	record.modified_ms = timestamp_now_ms();
	record.created_ms = rc ? before.created_ms : record.modified_ms;
	if (read_body(s, r, &record, false))
		put(s, r, &record);
}

void rest_pool_patch(struct service *s, struct http_request *r)
{
	struct pool_record record;
	struct error err = { 0 };
	int rc;

	if (!rest_check_version(r))
		return;
	rc = find_record(s, r->pool, &record, &err);
	if (rc <= 0) {
		if (rc < 0)
			rest_storage_error(r, &err);
		else
			respond_not_found(r);
		return;
	}
	record.modified_ms = timestamp_now_ms();
	if (read_body(s, r, &record, true))
		put(s, r, &record);
}

/* One that is not there is as good as deleted, as ARM sees it; one that could not run is in the store alone. */
void rest_pool_delete(struct service *s, struct http_request *r)
{
	struct buffer empty = { 0 };
	struct error err = { 0 };

	if (!rest_check_version(r) || !check_name(r))
		return;
	if (strcasecmp(r->pool, POOL_DEFAULT_NAME) == 0) {
		rest_error(r, 409, "Conflict", "The session pool '%s' always exists.", POOL_DEFAULT_NAME);
	} else if (mcp_keys_forget(s->mcp_keys, r->pool, &err) < 0) {
		rest_storage_error(r, &err);
	} else if (pool_store_delete(s->store, r->pool, &err) < 0) {
		rest_storage_error(r, &err);
	} else if (pools_find(s->pools, r->pool) && pools_delete(s->pools, r->pool, &err) < 0) {
		respond_pools_error(r, &err);
	} else {
		http_respond(r, 204, NULL, &empty);
	}
}
