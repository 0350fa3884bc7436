/*
 * A request to the container of a session: the session's ingress, the request passed on while it comes, and the answer
 * passed back while that comes. The session is in use as long as either goes on.
 */
#ifndef HEARTH_API_PROXY_H
#define HEARTH_API_PROXY_H

#include "api/rest.h"

/* Called when the headers are there; the body follows in pieces, and then rest_proxy_complete() is. */
void rest_proxy(struct service *s, struct http_request *r);
void rest_proxy_complete(struct http_request *r);

#endif
