#include "api/proxy_request.h"

#include "api/http_fields.h"
#include "common/text.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum {
	OWN_NAME_SIZE = 32, /* more than the longest name below */
};

/* While the headers are read: twice, since each may be named by a Connection header behind it. */
struct reading {
	struct error *err;
	const char *host, *length, *coding, *upgrade;
	const char *forwarded_proto, *forwarded_host;
	struct buffer connection;    /* all of them, with commas between */
	struct buffer forwarded_for; /* likewise */
	bool takes_trailers;
};

/* ---- which are passed on ----------------------------------------------------------------------------------------- */

/* What is written anew, whatever Connection says about it, or opens this service. */
static bool is_own(const char *name)
{
	static const char *const names[] = {
		"Host",
		"Content-Length",
		"Expect",
		"Authorization",
		"x-ms-apikey",
		"X-Forwarded-For",
		"X-Forwarded-Proto",
		"X-Forwarded-Host",
	};

	return text_find_word(names, sizeof(names) / sizeof(names[0]), name) >= 0;
}

/*
 * CGI and what came after it make the same of X_Forwarded_For and X-Forwarded-For: whoever could send the one would forge
 * the other. `folded` gets the start of the name, which is enough to compare it.
 */
static void fold(char folded[OWN_NAME_SIZE], const char *name)
{
	snprintf(folded, OWN_NAME_SIZE, "%s", name);
	for (char *c = folded; *c; c++)
		if (*c == '_')
			*c = '-';
}

/* What proxies say about the client: worth nothing from the client itself. */
static bool is_of_proxies(const char *folded)
{
	static const char prefix[] = "X-Forwarded-";

	return strncasecmp(folded, prefix, sizeof(prefix) - 1) == 0 || strcasecmp(folded, "Forwarded") == 0 ||
	       strcasecmp(folded, "X-Real-IP") == 0;
}

bool proxy_passes_header(const char *name, const char *connection)
{
	return !http_is_hop_by_hop(name) && strcasecmp(name, "Content-Length") != 0 && !http_list_has(connection, name);
}

/* ---- reading ----------------------------------------------------------------------------------------------------- */

static void join(struct buffer *list, const char *value)
{
	if (list->size)
		buffer_put_text(list, ", ");
	buffer_put_text(list, value);
}

/* The one value of a header that may be there once. */
static void take_once(struct reading *r, const char **place, const char *name, const char *value)
{
	if (*place)
		error_set(r->err, EINVAL, "The header %.64s may be there once.", name);
	*place = value;
}

static void read_header(void *data, const char *name, size_t name_size, const char *value, size_t value_size)
{
	struct reading *r = data;

	if (!http_is_token(name, name_size) || strlen(name) != name_size) {
		error_set(r->err, EINVAL, "A header's name has a character that none may have, such as a space.");
		return;
	}
	if (!http_is_field_value(value, value_size) || strlen(value) != value_size)
		error_set(r->err, EINVAL, "The header %.64s has a control character.", name);
	else if (strcasecmp(name, "Host") == 0)
		take_once(r, &r->host, name, value);
	else if (strcasecmp(name, "Content-Length") == 0)
		take_once(r, &r->length, name, value);
	else if (strcasecmp(name, "Transfer-Encoding") == 0)
		take_once(r, &r->coding, name, value);
	else if (strcasecmp(name, "Upgrade") == 0)
		take_once(r, &r->upgrade, name, value);
	else if (strcasecmp(name, "X-Forwarded-Proto") == 0)
		take_once(r, &r->forwarded_proto, name, value);
	else if (strcasecmp(name, "X-Forwarded-Host") == 0)
		take_once(r, &r->forwarded_host, name, value);
	else if (strcasecmp(name, "X-Forwarded-For") == 0)
		join(&r->forwarded_for, value);
	else if (strcasecmp(name, "Connection") == 0)
		join(&r->connection, value);
	else if (strcasecmp(name, "TE") == 0)
		r->takes_trailers |= http_list_has(value, "trailers");
}

/* Printable, without what ends or parts a name: RFC 3986 has none of these in an authority. */
static bool is_host(const char *text)
{
	for (const char *c = text; *c; c++)
		if (*c <= ' ' || *c > '~' || strchr("/\\?#@,\"<>", *c))
			return false;
	return true;
}

static int check(const struct reading *r, const struct http_request *request)
{
	if (r->err->code)
		return -r->err->code;
	if (!http_is_token(request->method, strlen(request->method)) || strcmp(request->method, "CONNECT") == 0)
		return error_set(r->err, EINVAL, "This method cannot be passed on.");
	if (r->length && !http_is_length(r->length))
		return error_set(r->err, EINVAL, "The header Content-Length is no number.");
	if (r->host && !is_host(r->host))
		return error_set(r->err, EINVAL, "The header Host is no name of a host.");
	if (r->connection.failed || r->forwarded_for.failed || !request->target)
		return error_set(r->err, ENOMEM, "There is no memory for this request.");
	return 0;
}

/* ---- writing ----------------------------------------------------------------------------------------------------- */

/* What has no place in a target is percent-encoded: a space in it would be its end. */
static void put_target(struct buffer *out, const char *target)
{
	if (*target != '/')
		buffer_put_text(out, "/");
	for (; *target && *target != '#'; target++) {
		unsigned char c = (unsigned char)*target;

		if (c <= ' ' || c > '~')
			buffer_put_format(out, "%%%02X", c);
		else
			buffer_put(out, target, 1);
	}
}

struct writing {
	struct buffer *out;
	const char *connection;
	bool trusts_proxies; /* that there is one in front */
};

static void put_header(struct buffer *out, const char *name, const char *value)
{
	buffer_put_format(out, "%s: %s\r\n", name, value);
}

static void write_header(void *data, const char *name, size_t name_size, const char *value, size_t value_size)
{
	struct writing *w = data;
	char folded[OWN_NAME_SIZE];

	(void)name_size;
	(void)value_size;
	fold(folded, name);
	if (!is_own(folded) && !http_is_hop_by_hop(folded) && proxy_passes_header(name, w->connection) &&
	    (w->trusts_proxies || !is_of_proxies(folded)))
		put_header(w->out, name, value);
}

/* Who speaks TLS with us is no proxy that speaks TLS for us: what it says of itself is not believed. */
static void put_forwarded(struct buffer *out, struct http_request *r, struct reading *reading)
{
	const char *proto = r->has_tls ? "https" : reading->forwarded_proto;
	const char *host = r->has_tls ? NULL : reading->forwarded_host;
	char address[HTTP_ADDRESS_SIZE];

	http_client_address(r, address);
	join(&reading->forwarded_for, address);
	buffer_put_text(out, "X-Forwarded-For: ");
	buffer_put(out, reading->forwarded_for.data, reading->forwarded_for.size);
	buffer_put_text(out, "\r\n");
	put_header(out, "X-Forwarded-Proto", proto ? proto : "http");
	if (host || reading->host)
		put_header(out, "X-Forwarded-Host", host ? host : reading->host);
}

static void put_connection(struct buffer *out, const struct proxy_request *p, const struct reading *reading)
{
	if (p->upgrade) {
		put_header(out, "Connection", "Upgrade");
		put_header(out, "Upgrade", p->upgrade);
	} else if (reading->takes_trailers) {
		put_header(out, "TE", "trailers");
		put_header(out, "Connection", "TE");
	}
	if (p->is_chunked)
		put_header(out, "Transfer-Encoding", "chunked");
	else if (reading->length)
		put_header(out, "Content-Length", reading->length);
}

static bool is_repeatable(const char *method)
{
	return strcmp(method, "GET") == 0 || strcmp(method, "HEAD") == 0 || strcmp(method, "OPTIONS") == 0;
}

static void write_head(struct proxy_request *p, struct http_request *r, struct reading *reading)
{
	struct buffer *out = &p->head;

	buffer_put_format(out, "%s ", r->method);
	put_target(out, url_after_segments(r->target, r->n_pool_segments));
	buffer_put_text(out, " HTTP/1.1\r\n");
	put_header(out, "Host", reading->host ? reading->host : "localhost");
	http_each_header(r, write_header, &(struct writing) { out, reading->connection.data, !r->has_tls });
	put_forwarded(out, r, reading);
	put_connection(out, p, reading);
	buffer_put_text(out, "\r\n");
}

int proxy_request_read(struct proxy_request *p, struct http_request *r, struct error *err)
{
	struct reading reading = { .err = err };
	int rc;

	*p = (struct proxy_request) { 0 };
	http_each_header(r, read_header, &reading);
	buffer_put(&reading.connection, "", 1);
	rc = check(&reading, r);
	if (rc == 0) {
		p->is_chunked = reading.coding != NULL;
		p->has_body = p->is_chunked ||
			      (reading.length && strspn(reading.length, "0") != strlen(reading.length));
		p->is_to_head = strcmp(r->method, "HEAD") == 0;
		p->can_be_repeated = !p->has_body && is_repeatable(r->method);
		if (reading.upgrade && !r->is_http_10 && !p->has_body &&
		    http_list_has(reading.connection.data, "Upgrade"))
			p->upgrade = strdup(reading.upgrade);
		write_head(p, r, &reading);
		if (p->head.failed)
			rc = error_set(err, ENOMEM, "There is no memory for this request.");
	}
	buffer_fini(&reading.connection);
	buffer_fini(&reading.forwarded_for);
	return rc;
}

void proxy_request_fini(struct proxy_request *p)
{
	buffer_fini(&p->head);
	free(p->upgrade);
	p->upgrade = NULL;
}

/* Those that would change what the headers said are left out (RFC 9110, 6.5.1). */
static void write_trailer(void *data, const char *name, size_t name_size, const char *value, size_t value_size)
{
	if (http_is_token(name, name_size) && strlen(name) == name_size && http_is_field_value(value, value_size) &&
	    strlen(value) == value_size)
		write_header(data, name, name_size, value, value_size);
}

void proxy_request_put_trailers(struct buffer *out, struct http_request *r)
{
	http_each_trailer(r, write_trailer, &(struct writing) { out, "", false });
	buffer_put_text(out, "\r\n");
}
