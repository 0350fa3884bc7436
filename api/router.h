/*
 * Which handler serves a request: one table of methods and paths. Also decides what needs no body and no handler:
 * unknown paths, wrong methods, missing permission.
 */
#ifndef HEARTH_API_ROUTER_H
#define HEARTH_API_ROUTER_H

#include "api/rest.h"

/* http_handler.begin and .complete; data is a struct service. */
void router_begin(void *service, struct http_request *r);
void router_complete(void *service, struct http_request *r);

/* http_handler.over: counts the request. */
void router_over(void *service, const struct http_request *r, unsigned int status);

#endif
