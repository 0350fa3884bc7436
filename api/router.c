#include "api/router.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

enum permission {
	ANYBODY,
	TOKEN,
};

/* 8 MiB of code are up to 48 MiB in JSON, since an escaped character takes six bytes. */
#define BODY_CODE (50u << 20)
#define BODY_NONE (64u << 10) /* some clients send an empty object */

struct route {
	const char *method;
	const char *path; /* segments without a slash at either end */
	enum permission permission;
	size_t body_max;
	void (*handle)(struct service *s, struct http_request *r);
};

static const struct route routes[] = {
	{ "GET", "healthz", ANYBODY, BODY_NONE, rest_health_get },
	{ "POST", "code/execute", TOKEN, BODY_CODE, rest_execute_legacy },
	{ "POST", "execute", TOKEN, BODY_CODE, rest_execute_legacy },
	{ "POST", "python/execute", TOKEN, BODY_CODE, rest_execute_legacy },
	{ "POST", "executions", TOKEN, BODY_CODE, rest_execute_new },
	{ "DELETE", "session", TOKEN, BODY_NONE, rest_session_delete },
	{ "POST", ".management/stopSession", TOKEN, BODY_NONE, rest_session_stop },
};

enum {
	N_ROUTES = sizeof(routes) / sizeof(routes[0]),
};

static bool path_matches(const char *path, char *const *segments, size_t n_segments)
{
	for (size_t i = 0; i < n_segments; i++) {
		size_t n = strlen(segments[i]);

		if (strncmp(path, segments[i], n) != 0 || (path[n] != '/' && path[n] != '\0'))
			return false;
		path += n + (path[n] == '/');
	}
	return *path == '\0' && n_segments > 0;
}

/*
 * Clients take the endpoint of a pool for an opaque prefix: /subscriptions/…/sessionPools/<pool>, with any of it in any
 * case. Returns how many segments belong to it.
 */
static size_t skip_prefix(struct http_request *r)
{
	const struct url *u = &r->url;

	if (u->n_segments == 0 ||
	    (strcasecmp(u->segments[0], "subscriptions") != 0 && strcasecmp(u->segments[0], "sessionPools") != 0))
		return 0;
	for (size_t i = 0; i + 1 < u->n_segments; i++) {
		if (strcasecmp(u->segments[i], "sessionPools") == 0) {
			r->pool = u->segments[i + 1];
			return i + 2;
		}
	}
	return 0;
}

/* A proxy may answer HEAD from GET; the server drops the body. */
static bool method_matches(const char *wanted, const char *method)
{
	return strcmp(wanted, method) == 0 || (strcmp(wanted, "GET") == 0 && strcmp(method, "HEAD") == 0);
}

/* The route, or NULL with the methods that the path knows in `allowed` ("" if there is no such path). */
static const struct route *find(struct http_request *r, char *allowed, size_t size)
{
	size_t skip = skip_prefix(r);
	char *const *segments = r->url.segments + skip;
	size_t n = r->url.n_segments - skip;

	*allowed = '\0';
	if (n >= 2 && strcasecmp(segments[0], "identifier") == 0) {
		r->path_identifier = segments[1];
		segments += 2;
		n -= 2;
	}
	for (size_t i = 0; i < N_ROUTES; i++) {
		if (!path_matches(routes[i].path, segments, n))
			continue;
		if (method_matches(routes[i].method, r->method))
			return &routes[i];
		snprintf(allowed + strlen(allowed), size - strlen(allowed), "%s%s", *allowed ? ", " : "",
			 routes[i].method);
	}
	return NULL;
}

static void echo_request_id(struct http_request *r)
{
	const char *id = http_request_header(r, "x-ms-client-request-id");

	if (!id || strlen(id) > 128)
		return;
	for (const char *c = id; *c; c++)
		if (*c < 0x20 || *c > 0x7e)
			return;
	http_add_header(r, "x-ms-client-request-id", id);
}

void router_begin(void *data, struct http_request *r)
{
	struct service *s = data;
	const struct route *route;
	char allowed[64];

	echo_request_id(r);
	if (r->url_error) {
		rest_error(r, r->url_error == -E2BIG ? 414 : 400, "SessionRequestValidationFailed",
			   r->url_error == -E2BIG ? "The URL has too many segments or parameters."
						  : "The URL cannot be decoded.");
		return;
	}
	route = find(r, allowed, sizeof(allowed));
	if (route &&
	    (route->permission == ANYBODY || auth_permits(&s->auth, http_request_header(r, "Authorization")))) {
		r->route = route;
		r->body_max = route->body_max;
	} else if (route) {
		http_add_header(r, "WWW-Authenticate", "Bearer");
		rest_error(r, 401, "Unauthorized",
			   "The request needs the header 'Authorization: Bearer <token>' with this service's token.");
	} else if (*allowed) {
		http_add_header(r, "Allow", allowed);
		rest_error(r, 405, "MethodNotAllowed", "This path knows %s only.", allowed);
	} else {
		rest_error(r, 404, "NotFound", "There is no such path.");
	}
}

void router_complete(void *data, struct http_request *r)
{
	struct service *s = data;
	const struct route *route = r->route;

	if (r->body_refused == HTTP_BODY_TOO_LARGE)
		rest_error(r, 413, "RequestBodyTooLarge", "The body is larger than %zu bytes.", r->body_max);
	else if (r->body_refused)
		rest_error_retry(r, 503, "ServiceBusy", 1, "Too many large requests are being received.");
	else if (s->is_stopping && route->permission != ANYBODY)
		rest_error_retry(r, 503, "ServiceStopping", 10, "The service is stopping.");
	else
		route->handle(s, r);
}
