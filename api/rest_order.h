/* An answer that waits for something that the sessions do: fork, suspend, resume, make a template. */
#ifndef HEARTH_API_REST_ORDER_H
#define HEARTH_API_REST_ORDER_H

#include "api/rest.h"

struct rest_order;

/*
 * Takes the request on: its order is answered by rest_order_done(), or never if the client goes first. `answer` makes
 * the JSON of a good end out of the session that it was about. NULL, after an answer was given, if there is no memory.
 */
struct rest_order *rest_order_begin(struct service *s, struct http_request *r, unsigned int status,
				    json_t *(*answer)(struct rest_order *order, const struct session_info *info));

/* The order was not taken: answers for the error. */
void rest_order_refused(struct rest_order *order, const struct error *err);

/* A session_done_cb; `order` is a struct rest_order. */
void rest_order_done(void *order, const struct session_info *info, const struct error *err);

/* Only for answer(), which is called while the client waits. */
struct service *rest_order_service(const struct rest_order *order);
struct http_request *rest_order_request(const struct rest_order *order);

#endif
