#include "api/router.h"

#include "api/guid.h"
#include "api/metrics.h"
#include "api/pool_resource.h"
#include "api/proxy.h"
#include "api/proxy_route.h"
#include "api/timestamp.h"
#include "common/cleanup.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

/* Of the pool that the path is about. The administrator may everything. */
enum permission {
	ANYBODY,
	TOKEN,      /* by the method: GET is for readers, others for executors; on the pool itself, for managers */
	READ,       /* readers, by whatever method */
	READ_ANY,   /* readers of any pool; the handler leaves out what is of others */
	READ_ALL,   /* readers of all pools, since what is shown is of all */
	READ_NAMED, /* readers of the pool that the path names; without one, of all pools */
	METRICS,    /* as READ_ALL, unless the settings open them to everybody */
	EXECUTE,    /* executors, by whatever method */
	MCP,        /* executors, and who has the key of the pool's MCP server */
	MANAGE,     /* managers */
	MANAGE_ALL, /* managers of all pools */
};

/* What the path is about, before its route. */
enum place {
	DATA,  /* a route of the default pool, or of the pool that the path names */
	POOL,  /* …/sessionPools/<pool>, and nothing more */
	POOLS, /* …/sessionPools */
	ARM,   /* /subscriptions/…, and no pools */
};

/* 8 MiB of code are up to 48 MiB in JSON, since an escaped character takes six bytes. */
#define BODY_CODE     (50u << 20)
#define BODY_NOTEBOOK (32u << 20)
#define BODY_NONE     (64u << 10) /* some clients send an empty object */
#define BODY_POOL     (1u << 20)
#define BODY_PIECES   0 /* taken as it comes, as much as the handler says */

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
	{ DATA, ANYBODY, "GET", "openapi.json", BODY_NONE, rest_openapi_get },
	{ DATA, METRICS, "GET", "metrics", BODY_NONE, rest_metrics_get },
	{ DATA, TOKEN, "GET", "metadata", BODY_NONE, rest_metadata_get },
	{ DATA, READ_NAMED, "GET", "usage", BODY_NONE, rest_usage_get },

	{ DATA, TOKEN, "POST", "code/execute", BODY_CODE, rest_execute_legacy },
	{ DATA, TOKEN, "POST", "execute", BODY_CODE, rest_execute_legacy },
	{ DATA, TOKEN, "POST", "python/execute", BODY_CODE, rest_execute_legacy },
	{ DATA, TOKEN, "POST", "executions", BODY_CODE, rest_execute_new },
	{ DATA, TOKEN, "POST", "notebook", BODY_NOTEBOOK, rest_notebook_run },
	{ DATA, TOKEN, "POST", "sessions/*/notebook", BODY_NOTEBOOK, rest_notebook_run },
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
	{ DATA, READ, "POST", ".management/getSession", BODY_NONE, rest_management_get_session },
	{ DATA, TOKEN, "GET", ".management/getSession", BODY_NONE, rest_management_get_session },
	{ DATA, READ, "POST", ".management/listSessions", BODY_NONE, rest_management_list_sessions },
	{ DATA, TOKEN, "GET", ".management/listSessions", BODY_NONE, rest_management_list_sessions },
	{ DATA, TOKEN, "POST", ".management/stopSession", BODY_NONE, rest_management_stop_session },
	/* The same as above, where the other paths are the container's. */
	{ DATA, TOKEN, "GET", ".management/session", BODY_NONE, rest_session_get },
	{ DATA, TOKEN, "DELETE", ".management/session", BODY_NONE, rest_session_delete },
	{ DATA, TOKEN, "POST", ".management/session/fork", BODY_NONE, rest_session_fork },
	{ DATA, TOKEN, "POST", ".management/session/suspend", BODY_NONE, rest_session_suspend },
	{ DATA, TOKEN, "POST", ".management/session/resume", BODY_NONE, rest_session_resume },
	{ DATA, TOKEN, "GET", ".management/session/logs", BODY_NONE, rest_session_logs },

	{ DATA, TOKEN, "GET", "files", BODY_NONE, rest_files_list },
	{ DATA, TOKEN, "POST", "files", BODY_PIECES, rest_upload_new },
	{ DATA, TOKEN, "POST", "files/upload", BODY_PIECES, rest_upload_legacy },
	{ DATA, TOKEN, "POST", "python/uploadFile", BODY_PIECES, rest_upload_legacy },
	{ DATA, TOKEN, "GET", "files/**", BODY_NONE, rest_files_get },
	{ DATA, TOKEN, "DELETE", "files/**", BODY_NONE, rest_files_delete },
	{ DATA, TOKEN, "GET", "python/downloadFile/**", BODY_NONE, rest_files_download },

	{ DATA, MCP, "POST", "mcp", BODY_CODE, rest_mcp_post },
	{ DATA, MCP, "DELETE", "mcp", BODY_NONE, rest_mcp_delete },
	{ DATA, MANAGE, "POST", "fetchMcpServerCredentials", BODY_NONE, rest_mcp_fetch_key },
	{ DATA, MANAGE, "POST", "rotateMcpServerCredentials", BODY_NONE, rest_mcp_rotate_key },

	{ DATA, TOKEN, "GET", "templates", BODY_NONE, rest_template_list },
	{ DATA, TOKEN, "GET", "templates/*", BODY_NONE, rest_template_get },
	{ DATA, MANAGE, "PUT", "templates/*", BODY_NONE, rest_template_put },
	{ DATA, MANAGE_ALL, "DELETE", "templates/*", BODY_NONE, rest_template_delete },

	{ DATA, MANAGE_ALL, "GET", "keys", BODY_NONE, rest_key_list },
	{ DATA, MANAGE_ALL, "POST", "keys", BODY_NONE, rest_key_post },
	{ DATA, MANAGE_ALL, "GET", "keys/*", BODY_NONE, rest_key_get },
	{ DATA, MANAGE_ALL, "DELETE", "keys/*", BODY_NONE, rest_key_delete },

	{ DATA, MANAGE, "PUT", "providers/Microsoft.Authorization/roleAssignments/*", BODY_NONE,
	  rest_arm_put_role_assignment },
	{ ARM, READ_ANY, "GET", "subscriptions/*/providers/Microsoft.App", BODY_NONE, rest_arm_get_provider },
	{ ARM, READ_ANY, "GET", "subscriptions/*/resourceGroups/*/providers/Microsoft.App/managedEnvironments/*",
	  BODY_NONE, rest_arm_get_environment },
	{ ARM, READ_ANY, "GET", "subscriptions/*/providers/Microsoft.App/locations/*/operationStatuses/*", BODY_NONE,
	  rest_arm_get_operation },
	{ ARM, READ_ANY, "GET", "subscriptions/*/providers/Microsoft.App/locations/*/operationResults/*", BODY_NONE,
	  rest_arm_get_operation },

	{ POOLS, READ_ANY, "GET", "", BODY_NONE, rest_pool_list },
	{ POOL, TOKEN, "GET", "", BODY_NONE, rest_pool_get },
	{ POOL, TOKEN, "PUT", "", BODY_POOL, rest_pool_put },
	{ POOL, TOKEN, "PATCH", "", BODY_POOL, rest_pool_patch },
	{ POOL, TOKEN, "DELETE", "", BODY_NONE, rest_pool_delete },
};

enum {
	N_ROUTES = sizeof(routes) / sizeof(routes[0]),
};

/* What a pool of containers does not answer itself: any method and path. */
static const struct route to_container = { DATA, EXECUTE, "", "", BODY_PIECES, rest_proxy };

/* Names match in any case, as with Azure. Notes in r which segments the stars stand for. */
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
		    (length == 0 || strlen(segments[i]) != length || strncasecmp(path, segments[i], length) != 0))
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
	return ARM;
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

/* After find(). */
static bool is_to_container(const struct service *s, const struct http_request *r)
{
	const struct pool *pool = pools_find(s->pools, r->pool);
	const struct url *u = &r->url;

	/* Neither is about one pool: …/sessionPools, and what is around the pools. */
	if (!pool || (r->n_pool_segments && !r->pool) ||
	    (!r->pool && u->n_segments && strcasecmp(u->segments[0], "subscriptions") == 0))
		return false;
	return proxy_takes(pool_definition_of(pool)->container_type, r->pool != NULL,
			   url_parameter(u, "identifier") != NULL, u->segments + r->n_pool_segments,
			   u->n_segments - r->n_pool_segments);
}

/* What is counted together. The first that fits. */
static enum metrics_route class_of(const struct route *route)
{
	static const struct {
		const char *part; /* of the path */
		enum metrics_route class;
	} classes[] = {
		{ "files", METRICS_ROUTE_FILE },         { "File", METRICS_ROUTE_FILE },
		{ "execut", METRICS_ROUTE_EXECUTION },   { "notebook", METRICS_ROUTE_EXECUTION },
		{ "mcp", METRICS_ROUTE_EXECUTION },      { "ession", METRICS_ROUTE_SESSION },
		{ "templates", METRICS_ROUTE_TEMPLATE }, { "healthz", METRICS_ROUTE_MONITORING },
		{ "metrics", METRICS_ROUTE_MONITORING }, { "usage", METRICS_ROUTE_MONITORING },
	};

	if (route->place != DATA)
		return METRICS_ROUTE_POOL;
	for (size_t i = 0; i < sizeof(classes) / sizeof(classes[0]); i++)
		if (strstr(route->path, classes[i].part))
			return classes[i].class;
	return METRICS_ROUTE_OTHER;
}

static bool is_open(const struct service *s, const struct route *route)
{
	return route->permission == ANYBODY || (route->permission == METRICS && s->is_metrics_open);
}

static void echo_request_id(struct http_request *r)
{
	const char *id = http_request_header(r, "x-ms-client-request-id");

	if (!id || strlen(id) > 128 || !rest_is_printable(id))
		return;
	http_add_header(r, "x-ms-client-request-id", id);
}

/* What ARM's clients write into their reports of errors. Of the correlation theirs, if they have one. */
static void add_arm_headers(struct http_request *r)
{
	const char *correlation = http_request_header(r, "x-ms-correlation-request-id");
	char id[GUID_SIZE];

	guid_make(id);
	if (!correlation || strlen(correlation) > 128 || !rest_is_printable(correlation))
		correlation = id;
	http_add_header(r, "x-ms-request-id", id);
	http_add_header(r, "x-ms-correlation-request-id", correlation);
	http_add_header(r, "api-supported-versions", POOL_API_VERSIONS);
}

/* ---- permission -------------------------------------------------------------------------------------------------- */

static enum role role_for(const struct route *route, const char *method)
{
	switch (route->permission) {
	case READ:
	case READ_ANY:
	case READ_ALL:
	case READ_NAMED:
	case METRICS:
		return ROLE_READER;
	case MANAGE:
	case MANAGE_ALL:
		return ROLE_MANAGER;
	case EXECUTE:
		return ROLE_EXECUTOR;
	default:
		if (method_matches("GET", method))
			return ROLE_READER;
		return route->place == DATA ? ROLE_EXECUTOR : ROLE_MANAGER;
	}
}

/* The key of an MCP server opens that alone. It comes in either header. */
static bool identify_by_mcp_key(struct service *s, struct http_request *r, const char *authorization, const char *key)
{
	bool is_bearer = authorization && strncasecmp(authorization, "Bearer ", 7) == 0;

	return (key && rest_mcp_identify(s, r, key, r->principal)) ||
	       (is_bearer && rest_mcp_identify(s, r, authorization + 7, r->principal));
}

/* Clients of Azure send a key in a header of its own to some routes. */
static bool identify(struct service *s, struct http_request *r, const struct route *route)
{
	const char *authorization = http_request_header(r, "Authorization");
	const char *key = http_request_header(r, "x-ms-apikey");
	AUTO_FREE char *made = NULL;
	const char *why = NULL;

	r->principal = malloc(sizeof(*r->principal));
	if (r->principal && route->permission == MCP && identify_by_mcp_key(s, r, authorization, key))
		return true;
	if (!authorization && key && asprintf(&made, "Bearer %s", key) < 0)
		made = NULL;
	if (r->principal &&
	    auth_identify(&s->auth, made ? made : authorization, timestamp_now_ms(), r->principal, &why))
		return true;
	free(r->principal);
	r->principal = NULL;
	/* RFC 6750, 3.1: no error code where there was no token. */
	http_add_header(r, "WWW-Authenticate", why ? "Bearer error=\"invalid_token\"" : "Bearer");
	rest_error(r, 401, "Unauthorized", "%s",
		   why ? why
		       : "The request needs the header 'Authorization: Bearer <token>' with a token of this service.");
	return false;
}

static bool may_call(struct http_request *r, const struct route *route)
{
	bool is_of_all = route->permission == READ_ALL || route->permission == MANAGE_ALL ||
			 route->permission == METRICS || (route->permission == READ_NAMED && !r->pool);
	const char *pool = r->pool ? r->pool : POOL_DEFAULT_NAME;
	enum role role = role_for(route, r->method);

	if (route->permission == READ_ANY || principal_may(r->principal, role, is_of_all ? NULL : pool))
		return true;
	http_add_header(r, "WWW-Authenticate", "Bearer error=\"insufficient_scope\"");
	if (is_of_all)
		rest_error(r, 403, "Forbidden", "This needs the role '%s' on all pools, which %s has not.",
			   role_name(role), r->principal->name);
	else
		rest_error(r, 403, "Forbidden", "This needs the role '%s' on the session pool '%s', which %s has not.",
			   role_name(role), pool, r->principal->name);
	return false;
}

static bool is_permitted(struct service *s, struct http_request *r, const struct route *route)
{
	return is_open(s, route) || (identify(s, r, route) && may_call(r, route));
}

/* ---- requests ---------------------------------------------------------------------------------------------------- */

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
	if (r->has_two_lengths) {
		http_add_header(r, "Connection", "close");
		rest_error(r, 400, "SessionRequestValidationFailed",
			   "The request says twice how long its body is: Content-Length and Transfer-Encoding exclude "
			   "each "
			   "other, and each may be there once.");
		return;
	}
	if (r->has_odd_coding) {
		http_add_header(r, "Connection", "close");
		rest_error(r, 400, "SessionRequestValidationFailed",
			   "The only Transfer-Encoding that is understood is chunked, in HTTP/1.1.");
		return;
	}
	if (r->url_error) {
		rest_error(r, r->url_error == -E2BIG ? 414 : 400, "SessionRequestValidationFailed",
			   r->url_error == -E2BIG ? "The URL has too many segments or parameters."
						  : "The URL cannot be decoded.");
		return;
	}
	route = find(r, allowed, sizeof(allowed));
	if (is_to_container(s, r) || (!route && !*allowed && r->pool && !pools_find(s->pools, r->pool)))
		route = &to_container; /* of a pool that is not there it says so, to whom may know */
	if (route && route->place != DATA)
		add_arm_headers(r);
	if (route) {
		r->route_class = class_of(route);
		if (!is_permitted(s, r, route))
			return;
		r->route = route;
		r->body_max = route->body_max;
		if (route->body_max == BODY_PIECES && s->is_stopping)
			respond_stopping(r);
		else if (route->body_max == BODY_PIECES)
			route->handle(s, r);
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

	if (route == &to_container)
		rest_proxy_complete(r);
	else if (route->body_max == BODY_PIECES)
		rest_upload_complete(r);
	else if (r->body_refused == HTTP_BODY_TOO_LARGE)
		rest_error(r, 413, "RequestBodyTooLarge", "The body is larger than %zu bytes.", r->body_max);
	else if (r->body_refused)
		rest_error_retry(r, 503, "ServiceBusy", 1, "Too many large requests are being received.");
	else if (s->is_stopping && route->permission != ANYBODY && route->permission != METRICS)
		respond_stopping(r);
	else
		route->handle(s, r);
}

void router_over(void *data, const struct http_request *r, unsigned int status)
{
	(void)data;
	metrics_count_request((enum metrics_route)r->route_class, status);
	if (status == 401 || status == 403)
		metrics_count_error(METRICS_UNAUTHORIZED);
}
