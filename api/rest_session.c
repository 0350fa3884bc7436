#include "api/rest.h"

struct pool *rest_pool(struct service *s, struct http_request *r)
{
	struct pool *pool = pools_find(s->pools, r->pool);

	if (!pool)
		rest_error(r, 404, "ResourceNotFound", "There is no session pool '%s'.", r->pool);
	return pool;
}

void rest_session_delete(struct service *s, struct http_request *r)
{
	struct buffer empty = { 0 };
	struct pool *pool = rest_check_version(r) ? rest_pool(s, r) : NULL;
	const char *id = pool ? rest_identifier(r, NULL) : NULL;

	if (!id)
		return;
	if (!sessions_end(pool_sessions(pool), id))
		rest_error(r, 404, "NoSessionFoundError", "Could not find session with name '%s'.", id);
	else
		http_respond(r, 204, NULL, &empty);
}

/* The exact sentences, as plain text, are what clients compare. */
void rest_session_stop(struct service *s, struct http_request *r)
{
	struct buffer body = { 0 };
	struct pool *pool = rest_check_version(r) ? rest_pool(s, r) : NULL;
	const char *id = pool ? rest_identifier(r, NULL) : NULL;
	bool found;

	if (!id)
		return;
	found = sessions_end(pool_sessions(pool), id);
	if (found)
		buffer_put_format(&body, "Session %s in session pool %s stopped.", id, r->pool ? r->pool : "default");
	else
		buffer_put_text(&body, "Failed to stop session, session not found.");
	http_respond(r, found ? 200 : 400, "text/plain; charset=utf-8", &body);
}
