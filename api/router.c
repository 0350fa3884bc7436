#include "api/router.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

enum permission {
	ANYBODY,
	TOKEN,
};

/* What the path is about, before its route. */
enum place {
	DATA,  /* a route of the default pool, or of the pool that the path names */
	POOL,  /* …/sessionPools/<pool>, and nothing more */
	POOLS, /* …/sessionPools */
};

/* 8 MiB of code are up to 48 MiB in JSON, since an escaped character takes six bytes. */
#define BODY_CODE   (50u << 20)
#define BODY_NONE   (64u << 10) /* some clients send an empty object */
#define BODY_POOL   (1u << 20)
#define BODY_PIECES 0 /* an upload: taken as it comes, as much as rest_upload.c says */

struct route {
	enum place place;
	enum permission permission;
	const char *method;
	const char *path; /* segments without a slash at either end; "*" is any one segment, r->path_name; "**" at the
			   * end is one or more, r->path_rest */
	size_t body_max;
	void (*handle)(struct service *s, struct http_request *r); /* with BODY_PIECES when the headers are there */
};

static const struct route routes[] = {
	{ DATA, ANYBODY, "GET", "healthz", BODY_NONE, rest_health_get },

	{ DATA, TOKEN, "POST", "code/execute", BODY_CODE, rest_execute_legacy },
	{ DATA, TOKEN, "POST", "execute", BODY_CODE, rest_execute_legacy },
	{ DATA, TOKEN, "POST", "python/execute", BODY_CODE, rest_execute_legacy },
	{ DATA, TOKEN, "POST", "executions", BODY_CODE, rest_execute_new },
	{ DATA, TOKEN, "GET", "executions/*", BODY_NONE, rest_operation_get },
	{ DATA, TOKEN, "DELETE", "executions/*", BODY_NONE, rest_operation_cancel },
	{ DATA, TOKEN, "POST", "executions/*/cancel", BODY_NONE, rest_operation_cancel },

	{ DATA, TOKEN, "GET", "session", BODY_NONE, rest_session_get },
	{ DATA, TOKEN, "DELETE", "session", BODY_NONE, rest_session_delete },
	{ DATA, TOKEN, "GET", "listSessions", BODY_NONE, rest_session_list },
	{ DATA, TOKEN, "POST", "session/stop", BODY_NONE, rest_session_delete },
	{ DATA, TOKEN, "POST", "session/fork", BODY_NONE, rest_session_fork },
	{ DATA, TOKEN, "POST", "session/suspend", BODY_NONE, rest_session_suspend },
	{ DATA, TOKEN, "POST", "session/resume", BODY_NONE, rest_session_resume },
	/* GET as well, which some clients try when POST is not what they hoped for. */
	{ DATA, TOKEN, "POST", ".management/getSession", BODY_NONE, rest_management_get_session },
	{ DATA, TOKEN, "GET", ".management/getSession", BODY_NONE, rest_management_get_session },
	{ DATA, TOKEN, "POST", ".management/listSessions", BODY_NONE, rest_management_list_sessions },
	{ DATA, TOKEN, "GET", ".management/listSessions", BODY_NONE, rest_management_list_sessions },
	{ DATA, TOKEN, "POST", ".management/stopSession", BODY_NONE, rest_management_stop_session },

	{ DATA, TOKEN, "GET", "files", BODY_NONE, rest_files_list },
	{ DATA, TOKEN, "POST", "files", BODY_PIECES, rest_upload_new },
	{ DATA, TOKEN, "POST", "files/upload", BODY_PIECES, rest_upload_legacy },
	{ DATA, TOKEN, "POST", "python/uploadFile", BODY_PIECES, rest_upload_legacy },
	{ DATA, TOKEN, "GET", "files/**", BODY_NONE, rest_files_get },
	{ DATA, TOKEN, "DELETE", "files/**", BODY_NONE, rest_files_delete },
	{ DATA, TOKEN, "GET", "python/downloadFile/**", BODY_NONE, rest_files_download },

	{ DATA, TOKEN, "GET", "templates", BODY_NONE, rest_template_list },
	{ DATA, TOKEN, "GET", "templates/*", BODY_NONE, rest_template_get },
	{ DATA, TOKEN, "PUT", "templates/*", BODY_NONE, rest_template_put },
	{ DATA, TOKEN, "DELETE", "templates/*", BODY_NONE, rest_template_delete },

	{ POOLS, TOKEN, "GET", "", BODY_NONE, rest_pool_list },
	{ POOL, TOKEN, "GET", "", BODY_NONE, rest_pool_get },
	{ POOL, TOKEN, "PUT", "", BODY_POOL, rest_pool_put },
	{ POOL, TOKEN, "PATCH", "", BODY_POOL, rest_pool_patch },
	{ POOL, TOKEN, "DELETE", "", BODY_NONE, rest_pool_delete },
};

enum {
	N_ROUTES = sizeof(routes) / sizeof(routes[0]),
};

/* Notes in r which segments the stars stand for. */
static bool path_matches(const char *path, char *const *segments, size_t n_segments, struct http_request *r)
{
	for (size_t i = 0; i < n_segments; i++) {
		size_t length = strcspn(path, "/");
		bool is_star = length == 1 && *path == '*';

		if (strcmp(path, "**") == 0) {
			r->path_rest = segments + i;
			r->n_path_rest = n_segments - i;
			return true;
		}
		if (!is_star &&
		    (length == 0 || strlen(segments[i]) != length || memcmp(path, segments[i], length) != 0))
			return false;
		if (is_star)
			r->path_name = segments[i];
		path += length + (path[length] == '/');
	}
	return *path == '\0';
}

/*
 * Clients take the endpoint of a pool for an opaque prefix: /subscriptions/…/sessionPools/<pool>, with any of it in any
 * case. Sets r->n_pool_segments to how many segments belong to it, and r->pool.
 */
static enum place find_pool(struct http_request *r)
{
	const struct url *u = &r->url;

	if (u->n_segments == 0 ||
	    (strcasecmp(u->segments[0], "subscriptions") != 0 && strcasecmp(u->segments[0], "sessionPools") != 0))
		return DATA;
	for (size_t i = 0; i < u->n_segments; i++) {
		if (strcasecmp(u->segments[i], "sessionPools") != 0)
			continue;
		if (i + 1 == u->n_segments) {
			r->n_pool_segments = i + 1;
			return POOLS;
		}
		r->pool = u->segments[i + 1];
		r->n_pool_segments = i + 2;
		return r->n_pool_segments == u->n_segments ? POOL : DATA;
	}
	return DATA;
}

/* A proxy may answer HEAD from GET; the server drops the body. */
static bool method_matches(const char *wanted, const char *method)
{
	return strcmp(wanted, method) == 0 || (strcmp(wanted, "GET") == 0 && strcmp(method, "HEAD") == 0);
}

/* The route, or NULL with the methods that the path knows in `allowed` ("" if there is no such path). */
static const struct route *find(struct http_request *r, char *allowed, size_t size)
{
	enum place place = find_pool(r);
	char *const *segments = r->url.segments + r->n_pool_segments;
	size_t n = r->url.n_segments - r->n_pool_segments;

	*allowed = '\0';
	if (n >= 2 && strcasecmp(segments[0], "identifier") == 0) {
		r->path_identifier = segments[1];
		segments += 2;
		n -= 2;
	}
	for (size_t i = 0; i < N_ROUTES; i++) {
		if (routes[i].place != place || !path_matches(routes[i].path, segments, n, r))
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

	if (!id || strlen(id) > 128 || !rest_is_printable(id))
		return;
	http_add_header(r, "x-ms-client-request-id", id);
}

static void respond_stopping(struct http_request *r)
{
	rest_error_retry(r, 503, "ServiceStopping", 10, "The service is stopping.");
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
		if (route->body_max == BODY_PIECES && s->is_stopping)
			respond_stopping(r);
		else if (route->body_max == BODY_PIECES)
			route->handle(s, r);
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

	if (route->body_max == BODY_PIECES)
		rest_upload_complete(r);
	else if (r->body_refused == HTTP_BODY_TOO_LARGE)
		rest_error(r, 413, "RequestBodyTooLarge", "The body is larger than %zu bytes.", r->body_max);
	else if (r->body_refused)
		rest_error_retry(r, 503, "ServiceBusy", 1, "Too many large requests are being received.");
	else if (s->is_stopping && route->permission != ANYBODY)
		respond_stopping(r);
	else
		route->handle(s, r);
}
