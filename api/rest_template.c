/* The users' templates: made of a session, named by pools. */
#include "api/json.h"
#include "api/rest_order.h"
#include "api/timestamp.h"

#include <string.h>

static json_t *template_json(const struct template_info *info)
{
	char created[TIMESTAMP_SIZE];

	timestamp_format(created, info->created_ms);
	return json_pack("{s:s, s:I, s:I, s:I, s:I, s:s}", "name", info->name, "cpu", (json_int_t)info->n_vcpus,
			 "memoryInMib", (json_int_t)info->memory_mib, "sizeInBytes", (json_int_t)info->size_bytes,
			 "layers", (json_int_t)info->n_layers, "createdAt", created);
}

static void respond_not_found(struct http_request *r)
{
	rest_error(r, 404, "TemplateNotFound", "There is no template of that name.");
}

static bool check_name(struct http_request *r)
{
	if (!rest_check_version(r))
		return false;
	if (pool_name_is_valid(r->path_name))
		return true;
	rest_error(r, 400, "SessionRequestValidationFailed",
		   "A template's name has 2 to 63 letters, digits and hyphens, and begins with no hyphen.");
	return false;
}

static void add_template(void *data, const struct template_info *info)
{
	json_array_append_new(data, template_json(info));
}

void rest_template_list(struct service *s, struct http_request *r)
{
	json_t *array;

	if (!rest_check_version(r))
		return;
	array = json_array();
	if (array)
		templates_each(s->templates, add_template, array);
	rest_json(r, 200, json_pack("{s:o}", "value", array));
}

void rest_template_get(struct service *s, struct http_request *r)
{
	struct template_info info;

	if (!check_name(r))
		return;
	if (templates_find(s->templates, r->path_name, &info))
		rest_json(r, 200, template_json(&info));
	else
		respond_not_found(r);
}

/* Without it the pool's next session could not be made. */
static const char *pool_that_uses(const struct service *s, const char *name)
{
	for (struct pool *pool = pools_next(s->pools, NULL); pool; pool = pools_next(s->pools, pool))
		if (strcasecmp(pool_definition_of(pool)->template_name, name) == 0)
			return pool_definition_of(pool)->name;
	return NULL;
}

void rest_template_delete(struct service *s, struct http_request *r)
{
	struct buffer empty = { 0 };
	const char *pool;

	if (!check_name(r))
		return;
	pool = pool_that_uses(s, r->path_name);
	if (pool)
		rest_error(r, 409, "TemplateInUse", "The session pool '%s' uses the template: give it another first.",
			   pool);
	else if (templates_delete(s->templates, r->path_name) < 0)
		respond_not_found(r);
	else
		http_respond(r, 204, NULL, &empty);
}

static json_t *answer_template(struct rest_order *order, const struct session_info *session)
{
	const char *name = rest_order_request(order)->path_name;
	struct template_info info;

	if (templates_find(rest_order_service(order)->templates, name, &info))
		return template_json(&info);
	/* Deleted at once by somebody else. */
	return json_pack("{s:s, s:s}", "name", name, "fromSession", session->identifier);
}

/* The body is {"fromSession": "<identifier>"}. */
void rest_template_put(struct service *s, struct http_request *r)
{
	struct pool *pool = check_name(r) ? rest_pool(s, r) : NULL;
	json_t *body = pool ? rest_body(r) : NULL;
	struct error err = { 0 };
	struct rest_order *order;
	const char *id = NULL;
	size_t size = 0;

	if (!body)
		return;
	if (json_get_text(body, "fromSession", &id, &size, &err) < 0 || !id || !*id || size > REST_IDENTIFIER_MAX ||
	    strlen(id) != size || !rest_is_printable(id)) {
		rest_error(r, 400, "SessionRequestValidationFailed",
			   "The field 'fromSession' must be the identifier of a session.");
	} else {
		order = rest_order_begin(s, r, 201, answer_template);
		if (order &&
		    sessions_make_template(pool_sessions(pool), id, r->path_name, rest_order_done, order, &err) < 0)
			rest_order_refused(order, &err);
	}
	json_decref(body);
}
