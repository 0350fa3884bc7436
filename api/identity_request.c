#include "api/identity_request.h"

#include "api/json_text.h"
#include "api/url.h"
#include "common/cleanup.h"

#include <gnutls/crypto.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define API_VERSION "2019-08-01"

/* The header's only value without the space around it; NULL if it is not there, or more than once. */
static const char *find_header(const char *head, const char *name, size_t *size)
{
	const char *found = NULL;
	size_t name_size = strlen(name);

	for (const char *line = strstr(head, "\r\n"); line && line[2]; line = strstr(line + 2, "\r\n")) {
		const char *value = line + 2 + name_size;

		if (strncasecmp(line + 2, name, name_size) != 0 || *value != ':')
			continue;
		if (found)
			return NULL;
		value += 1 + strspn(value + 1, " \t");
		*size = strcspn(value, "\r\n");
		while (*size > 0 && strchr(" \t", value[*size - 1]))
			--*size;
		found = value;
	}
	return found;
}

static bool has_secret(const char *head, const char *secret)
{
	size_t size = 0;
	const char *given = find_header(head, "X-IDENTITY-HEADER", &size);

	return given && size == IDENTITY_SECRET_SIZE && gnutls_memcmp(given, secret, IDENTITY_SECRET_SIZE) == 0;
}

static unsigned int refuse(unsigned int status, const char **problem, const char *sentence)
{
	*problem = sentence;
	return status;
}

static unsigned int read_target(struct identity_request *request, const struct url *u, const char **problem)
{
	const char *version = url_parameter(u, "api-version"), *resource = url_parameter(u, "resource");

	if (u->n_segments != 2 || strcmp(u->segments[0], "msi") != 0 || strcmp(u->segments[1], "token") != 0)
		return refuse(404, problem, "There is nothing here; ask the address in IDENTITY_ENDPOINT.");
	if (!version || strcmp(version, API_VERSION) != 0)
		return refuse(400, problem, "The parameter api-version must be " API_VERSION ".");
	if (!resource || !*resource)
		return refuse(400, problem, "The parameter resource is missing.");
	if (strlen(resource) > IDENTITY_RESOURCE_MAX)
		return refuse(400, problem, "The parameter resource is too long.");
	memcpy(request->resource, resource, strlen(resource) + 1);
	return 200;
}

/* `head` is the request line and the headers, each with its line end. */
static unsigned int read_head(struct identity_request *request, char *head, const char *secret, const char **problem)
{
	size_t length = 0;
	char *end = strstr(head, "\r\n"), *target = head + strlen("GET "), *version;
	struct url u;
	unsigned int status;

	if (!has_secret(head, secret))
		return refuse(401, problem, "The header X-IDENTITY-HEADER must be the value of IDENTITY_HEADER.");
	if (find_header(head, "Transfer-Encoding", &length))
		return refuse(400, problem, "A request for a token has no body.");
	if (strncmp(head, "GET ", 4) != 0)
		return refuse(405, problem, "A token is asked for by GET.");
	*end = '\0';
	version = strchr(target, ' ');
	if (!version || (strcmp(version, " HTTP/1.1") != 0 && strcmp(version, " HTTP/1.0") != 0))
		return refuse(400, problem, "The request line must be GET, a target and HTTP/1.1.");
	*version = '\0';
	status = url_split(&u, target) < 0 ? refuse(400, problem, "The target of the request cannot be read.")
					   : read_target(request, &u, problem);
	url_fini(&u);
	return status;
}

unsigned int identity_request_parse(struct identity_request *request, const char *data, size_t size, const char *secret,
				    const char **problem)
{
	const char *end = size ? memmem(data, size, "\r\n\r\n", 4) : NULL;
	size_t head_size = end ? (size_t)(end - data) + 2 : size;
	AUTO_FREE char *head = NULL;
	unsigned int status;

	*problem = NULL;
	request->resource[0] = '\0';
	if (head_size > IDENTITY_HEAD_MAX)
		return refuse(431, problem, "The head of the request is too long.");
	if (!end)
		return 0;
	if (memchr(data, '\0', head_size))
		return refuse(400, problem, "The head of the request holds a NUL byte.");
	head = strndup(data, head_size);
	if (!head)
		return refuse(503, problem, "There is no memory; try again later.");
	status = read_head(request, head, secret, problem);
	explicit_bzero(head, head_size);
	return status;
}

static const char *reason(unsigned int status)
{
	switch (status) {
	case 200:
		return "OK";
	case 401:
		return "Unauthorized";
	case 404:
		return "Not Found";
	case 405:
		return "Method Not Allowed";
	case 429:
		return "Too Many Requests";
	case 431:
		return "Request Header Fields Too Large";
	case 500:
		return "Internal Server Error";
	case 503:
		return "Service Unavailable";
	default:
		return "Bad Request";
	}
}

static void put_answer(struct buffer *out, unsigned int status, struct buffer *body)
{
	buffer_put_format(out,
			  "HTTP/1.1 %u %s\r\nContent-Type: application/json\r\nContent-Length: %zu\r\n"
			  "Cache-Control: no-store\r\nConnection: close\r\n\r\n",
			  status, reason(status), body->size);
	buffer_put(out, body->data, body->size);
	if (body->failed) {
		buffer_fini(out);
		out->failed = true;
	}
}

void identity_answer_put_token(struct buffer *out, const char *token, int64_t expires_on, const char *resource)
{
	struct buffer body = { 0 };

	buffer_put_text(&body, "{\"access_token\":");
	json_put_bytes(&body, token, strlen(token));
	buffer_put_format(&body, ",\"expires_on\":\"%" PRId64 "\",\"resource\":", expires_on);
	json_put_bytes(&body, resource, strlen(resource));
	buffer_put_text(&body, ",\"token_type\":\"Bearer\"}");
	put_answer(out, 200, &body);
	buffer_wipe(&body);
}

void identity_answer_put_problem(struct buffer *out, unsigned int status, const char *problem)
{
	struct buffer body = { 0 };

	buffer_put_format(&body, "{\"statusCode\":%u,\"message\":", status);
	json_put_text(&body, problem);
	buffer_put_text(&body, "}");
	put_answer(out, status, &body);
	buffer_fini(&body);
}
