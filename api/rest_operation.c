#include "api/rest_operation.h"

#include "api/pool_address.h"

#include <stdlib.h>
#include <string.h>

/* Clients call it as it is: absolute, with the identifier and the version that they would have to add. */
static void put_location(struct buffer *out, const struct http_request *r, const char *id, const char *identifier)
{
	const char *version = url_parameter(&r->url, "api-version");

	pool_address_put_origin(out, r);
	for (size_t i = 0; i < r->n_pool_segments; i++) {
		buffer_put_text(out, "/");
		url_put_encoded(out, r->url.segments[i]);
	}
	buffer_put_text(out, "/executions/");
	url_put_encoded(out, id);
	buffer_put_format(out, "?api-version=%s&identifier=", version ? version : "2025-02-02-preview");
	url_put_encoded(out, identifier);
	buffer_put(out, "", 1);
}

static void respond(struct http_request *r, const struct operation *o, unsigned int status)
{
	struct buffer json = { 0 };

	if (!operation_is_over(o))
		http_add_header(r, "Retry-After", "1");
	operation_put(o, &json);
	buffer_put_text(&json, "\n");
	if (json.failed || json.size <= 1) {
		buffer_fini(&json);
		rest_error(r, 500, "OutOfMemory", "There was no memory for the answer.");
		return;
	}
	http_respond(r, status, REST_JSON, &json);
}

void rest_operation_accepted(struct http_request *r, const struct operation *o, const char *identifier,
			     unsigned int status)
{
	struct buffer location = { 0 };

	put_location(&location, r, operation_id(o), identifier);
	if (!location.failed) {
		http_add_header(r, "operation-id", operation_id(o));
		http_add_header(r, "operation-location", location.data);
	}
	buffer_fini(&location);
	respond(r, o, status);
}

/* The one that the path names, after checks. NULL after an answer was given. */
static struct operation *find(struct service *s, struct http_request *r)
{
	struct pool *pool = rest_check_version(r) ? rest_pool(s, r) : NULL;
	const char *identifier = pool ? rest_identifier(r, NULL) : NULL;
	struct operation *o = identifier ? operation_find(pool, identifier, r->path_name) : NULL;

	if (identifier && !o)
		rest_error(r, 404, "ExecutionNotFound",
			   "This session has no execution of that id: only asynchronous ones are kept, until their "
			   "session "
			   "ends.");
	return o;
}

void rest_operation_get(struct service *s, struct http_request *r)
{
	const struct operation *o = find(s, r);

	if (o)
		respond(r, o, 200);
}

void rest_operation_cancel(struct service *s, struct http_request *r)
{
	struct operation *o = find(s, r);

	if (!o)
		return;
	operation_cancel(o);
	respond(r, o, operation_is_over(o) ? 200 : 202);
}
