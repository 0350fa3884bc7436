/* POST code/execute and POST executions: what differs between the two families, and between clients. */
#include "api/event_stream.h"
#include "api/execute_call.h"
#include "api/operation.h"
#include "api/rest.h"
#include "api/rest_operation.h"

#include <string.h>
#include <strings.h>

static void respond_parse_error(struct http_request *r, const struct error *err)
{
	switch (err->code) {
	case EXECUTE_REQUEST_MALFORMED:
		rest_problem(r, "$", err->text);
		break;
	case EXECUTE_REQUEST_NO_CODE:
		rest_error(r, 400, "SessionPropertiesMissing", "%s", err->text);
		break;
	case EXECUTE_REQUEST_TOO_LARGE:
		rest_error(r, 413, "RequestBodyTooLarge", "%s", err->text);
		break;
	default:
		rest_error(r, 400, "SessionRequestValidationFailed", "%s", err->text);
	}
}

/* The one version whose answer is "accepted" even though the execution is over. */
static bool wants_202(const struct http_request *r, enum execute_family family)
{
	const char *version = url_parameter(&r->url, "api-version");

	return family == EXECUTE_NEW && version && strcasecmp(version, "2024-10-02-preview") == 0;
}

/* Semantic Kernel for .NET declares executionResult a string and fails on a number. */
static bool wants_text(const struct http_request *r, enum execute_family family)
{
	const char *agent = http_request_header(r, "User-Agent");

	return family == EXECUTE_NEW && agent && strstr(agent, "Semantic-Kernel/") && strstr(agent, "Language=dotnet");
}

static const char *chosen_operation_id(const struct http_request *r)
{
	const char *id = http_request_header(r, "operation-id");

	if (!id || !*id || strlen(id) > 128)
		return NULL;
	for (const char *c = id; *c; c++)
		if (*c < 0x20 || *c > 0x7e)
			return NULL;
	return id;
}

/* Repeating an id asks for what it began before. */
static void start_operation(struct service *s, struct pool *pool, struct http_request *r,
			    const struct execute_call_form *form, const char *identifier,
			    struct execute_request *request)
{
	struct operation *o = form->operation_id ? operation_find(pool, identifier, form->operation_id) : NULL;
	struct error err = { 0 };

	if (!o)
		o = operation_start(s, pool, form, identifier, request, &err);
	if (o)
		rest_operation_accepted(r, o, identifier, form->status);
	else
		execute_refuse(r, pool, &err);
}

static void start(struct service *s, struct pool *pool, struct http_request *r, const struct execute_call_form *form,
		  const char *identifier, struct execute_request *request)
{
	if (!request->is_asynchronous)
		execute_call_start(s, pool, r, form, identifier, request);
	else if (form->family == EXECUTE_NEW)
		start_operation(s, pool, r, form, identifier, request);
	else
		rest_error(r, 400, "SessionRequestNotSupported",
			   "Asynchronous execution is a matter of the route 'executions'.");
}

static void execute(struct service *s, struct http_request *r, enum execute_family family)
{
	struct execute_call_form form = {
		.family = family,
		.status = wants_202(r, family) ? 202 : 200,
		.as_events = event_stream_is_wanted(r),
		.result_as_text = wants_text(r, family),
		.operation_id = chosen_operation_id(r),
	};
	struct execute_request request;
	struct pool *pool = rest_check_version(r) ? rest_pool(s, r) : NULL;
	struct error err = { 0 };
	const char *identifier;

	if (!pool)
		return;
	if (execute_request_parse(&request, pool_definition_of(pool)->container_type == POOL_SHELL, r->body.data,
				  r->body.size, &err) < 0) {
		respond_parse_error(r, &err);
	} else {
		identifier = rest_identifier(r, request.identifier);
		if (identifier)
			start(s, pool, r, &form, identifier, &request);
	}
	execute_request_fini(&request);
}

void rest_execute_legacy(struct service *s, struct http_request *r)
{
	execute(s, r, EXECUTE_LEGACY);
}

void rest_execute_new(struct service *s, struct http_request *r)
{
	execute(s, r, EXECUTE_NEW);
}
