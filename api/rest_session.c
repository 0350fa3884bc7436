#include "api/rest.h"

void rest_session_delete(struct service *s, struct http_request *r)
{
	struct buffer empty = { 0 };
	const char *id;

	if (!rest_check_version(r))
		return;
	id = rest_identifier(r, NULL);
	if (!id)
		return;
	if (!sessions_end(s->sessions, id))
		rest_error(r, 404, "NoSessionFoundError", "Could not find session with name '%s'.", id);
	else
		http_respond(r, 204, NULL, &empty);
}

/* The exact sentences, as plain text, are what clients compare. */
void rest_session_stop(struct service *s, struct http_request *r)
{
	struct buffer body = { 0 };
	const char *id;
	bool found;

	if (!rest_check_version(r))
		return;
	id = rest_identifier(r, NULL);
	if (!id)
		return;
	found = sessions_end(s->sessions, id);
	if (found)
		buffer_put_format(&body, "Session %s in session pool %s stopped.", id, r->pool ? r->pool : "default");
	else
		buffer_put_text(&body, "Failed to stop session, session not found.");
	http_respond(r, found ? 200 : 400, "text/plain; charset=utf-8", &body);
}
