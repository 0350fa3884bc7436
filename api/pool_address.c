#include "api/pool_address.h"

#include <stdbool.h>
#include <string.h>
#include <strings.h>

/* The segment after the one of that name, in any case, on the way to the pool; else NULL. */
static const char *segment_after(const struct http_request *r, const char *name)
{
	for (size_t i = 0; i + 1 < r->n_pool_segments; i++)
		if (strcasecmp(r->url.segments[i], name) == 0)
			return r->url.segments[i + 1];
	return NULL;
}

static void put_path(struct buffer *out, const struct http_request *r, const char *name, const char *provider)
{
	const char *subscription = segment_after(r, "subscriptions");
	const char *group = segment_after(r, "resourceGroups");

	if (subscription) {
		buffer_put_text(out, "/subscriptions/");
		url_put_encoded(out, subscription);
		buffer_put_text(out, "/resourceGroups/");
		url_put_encoded(out, group ? group : "default");
		buffer_put_text(out, provider);
	}
	buffer_put_text(out, "/sessionPools/");
	url_put_encoded(out, name);
}

void pool_address_put_id(struct buffer *out, const struct http_request *r, const char *name)
{
	put_path(out, r, name, "/providers/Microsoft.App");
}

/* A host as RFC 3986 has it, and nothing that would make it more in a URL. */
static bool is_host(const char *text)
{
	static const char allowed[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~:[]";

	return *text && strlen(text) <= 255 && text[strspn(text, allowed)] == '\0';
}

void pool_address_put_origin(struct buffer *out, const struct http_request *r)
{
	const char *host = http_request_header(r, "Host");
	const char *scheme = http_request_header(r, "X-Forwarded-Proto");

	if (host && is_host(host)) {
		bool is_https = scheme ? strcasecmp(scheme, "https") == 0 : r->has_tls;

		buffer_put_text(out, is_https ? "https://" : "http://");
		buffer_put_text(out, host);
	}
}

void pool_address_put_endpoint(struct buffer *out, const struct http_request *r, const char *name)
{
	pool_address_put_origin(out, r);
	put_path(out, r, name, "");
}
