#include "api/rest.h"

#include "api/guid.h"
#include "api/json_text.h"
#include "common/log.h"

#include <errno.h>
#include <ctype.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

static void put_error(struct buffer *body, const char *code, const char *message)
{
	char trace[GUID_SIZE];

	guid_make(trace);
	buffer_put_text(body, "\"error\":{\"code\":");
	json_put_text(body, code);
	buffer_put_text(body, ",\"message\":");
	json_put_text(body, message);
	buffer_put_format(body, ",\"target\":null,\"details\":[],\"traceId\":\"%s\"}", trace);
}

void rest_put_error(struct buffer *body, const char *code, const char *message)
{
	buffer_put_text(body, "{");
	put_error(body, code, message);
	buffer_put_text(body, "}");
}

void rest_error(struct http_request *r, unsigned int status, const char *code, const char *format, ...)
{
	struct buffer body = { 0 };
	char message[1024];
	va_list args;

	va_start(args, format);
	vsnprintf(message, sizeof(message), format, args);
	va_end(args);
	rest_put_error(&body, code, message);
	buffer_put_text(&body, "\n");
	http_add_header(r, "x-ms-error-code", code);
	http_respond(r, status, REST_JSON, &body);
}

void rest_error_retry(struct http_request *r, unsigned int status, const char *code, unsigned int retry_after_s,
		      const char *message)
{
	struct buffer body = { 0 };
	char seconds[16];

	snprintf(seconds, sizeof(seconds), "%u", retry_after_s);
	buffer_put_text(&body, "{\"code\":");
	json_put_text(&body, code);
	buffer_put_text(&body, ",\"message\":");
	json_put_text(&body, message);
	buffer_put_text(&body, ",");
	put_error(&body, code, message);
	buffer_put_text(&body, "}\n");
	http_add_header(r, "x-ms-error-code", code);
	http_add_header(r, "Retry-After", seconds);
	http_respond(r, status, REST_JSON, &body);
}

void rest_storage_error(struct http_request *r, const struct error *err)
{
	log_error("%s", err->text);
	if (err->code == EBUSY)
		rest_error_retry(r, 503, "StorageBusy", 1,
				 "Another program holds the service's database. Nothing was changed: try again.");
	else if (err->code == ENOSPC)
		rest_error(r, 507, "StorageFull",
			   "The disk with the service's database is full. Nothing was changed: make room there, then "
			   "try again.");
	else
		rest_error(r, 500, "StorageFailed", "The service's database failed: its log says more.");
}

void rest_problem(struct http_request *r, const char *field, const char *message)
{
	struct buffer body = { 0 };
	char trace[GUID_SIZE];

	guid_make(trace);
	buffer_put_text(&body, "{\"type\":\"https://tools.ietf.org/html/rfc9110#section-15.5.1\","
			       "\"title\":\"One or more validation errors occurred.\",\"status\":400,\"errors\":{");
	json_put_text(&body, field);
	buffer_put_text(&body, ":[");
	json_put_text(&body, message);
	buffer_put_format(&body, "]},\"traceId\":\"%s\"}\n", trace);
	http_add_header(r, "x-ms-error-code", "SessionRequestValidationFailed");
	http_respond(r, 400, "application/problem+json; charset=utf-8", &body);
}

bool rest_is_printable(const char *text)
{
	for (; *text; text++)
		if (*text < 0x20 || *text > 0x7e)
			return false;
	return true;
}

const char *rest_identifier(struct http_request *r, const char *body_identifier)
{
	const char *id = url_parameter(&r->url, "identifier");

	if (!id)
		id = r->path_identifier ? r->path_identifier : body_identifier;
	if (!id || !*id) {
		rest_error(r, 400, "SessionRequestValidationFailed",
			   "The query parameter 'identifier' is missing: it names the session.");
		return NULL;
	}
	if (strlen(id) > REST_IDENTIFIER_MAX) {
		rest_error(r, 400, "SessionRequestValidationFailed", "The identifier is longer than %d characters.",
			   REST_IDENTIFIER_MAX);
		return NULL;
	}
	if (!rest_is_printable(id)) {
		rest_error(r, 400, "SessionRequestValidationFailed",
			   "The identifier may hold printable ASCII characters only.");
		return NULL;
	}
	return id;
}

bool rest_check_version(struct http_request *r)
{
	static const char pattern[] = "dddd-dd-dd";
	const char *version = url_parameter(&r->url, "api-version");

	if (!version)
		return true;
	for (size_t i = 0; i < sizeof(pattern) - 1; i++) {
		if (pattern[i] == 'd' ? !isdigit((unsigned char)version[i]) : version[i] != pattern[i])
			goto invalid;
	}
	if (version[10] == '\0' || strcasecmp(version + 10, "-preview") == 0)
		return true;
invalid:
	rest_error(r, 400, "InvalidApiVersion", "The api-version is not of the form 2024-02-02 or 2024-02-02-preview.");
	return false;
}
