/* What is done with a session as a whole: a copy of it, and its way to disk and back. */
#include "api/rest_order.h"

#include <string.h>

static json_t *answer_session(struct rest_order *order, const struct session_info *info)
{
	(void)order;
	return rest_session_json(info);
}

/* The identifier's rules hold for the new one as well. */
static bool check_target(struct http_request *r, const char *target)
{
	if (target && *target && strlen(target) <= REST_IDENTIFIER_MAX && rest_is_printable(target))
		return true;
	rest_error(r, 400, "SessionRequestValidationFailed",
		   "The query parameter 'target' must name the new session: 1 to %d printable ASCII characters.",
		   REST_IDENTIFIER_MAX);
	return false;
}

void rest_session_fork(struct service *s, struct http_request *r)
{
	const char *target = url_parameter(&r->url, "target");
	struct pool *pool = rest_check_version(r) ? rest_pool(s, r) : NULL;
	const char *id = pool ? rest_identifier(r, NULL) : NULL;
	struct rest_order *order;
	struct error err = { 0 };

	if (!id || !check_target(r, target))
		return;
	order = rest_order_begin(s, r, 201, answer_session);
	if (order && sessions_fork(pool_sessions(pool), id, target, rest_order_done, order, &err) < 0)
		rest_order_refused(order, &err);
}

typedef int order_fn(struct sessions *sessions, const char *identifier, session_done_cb done, void *data,
		     struct error *err);

static void give(struct service *s, struct http_request *r, order_fn *give_order)
{
	struct pool *pool = rest_check_version(r) ? rest_pool(s, r) : NULL;
	const char *id = pool ? rest_identifier(r, NULL) : NULL;
	struct rest_order *order = id ? rest_order_begin(s, r, 200, answer_session) : NULL;
	struct error err = { 0 };

	if (order && give_order(pool_sessions(pool), id, rest_order_done, order, &err) < 0)
		rest_order_refused(order, &err);
}

void rest_session_suspend(struct service *s, struct http_request *r)
{
	give(s, r, sessions_suspend);
}

void rest_session_resume(struct service *s, struct http_request *r)
{
	give(s, r, sessions_resume);
}
