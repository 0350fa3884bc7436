#include "api/rest_order.h"

#include <stdlib.h>

struct rest_order {
	struct service *service;
	struct http_request *request; /* NULL when the client is gone */
	unsigned int status;
	json_t *(*answer)(struct rest_order *order, const struct session_info *info);
};

static void on_gone(struct http_request *r)
{
	struct rest_order *order = r->owner;

	order->request = NULL;
}

struct rest_order *rest_order_begin(struct service *s, struct http_request *r, unsigned int status,
				    json_t *(*answer)(struct rest_order *order, const struct session_info *info))
{
	struct rest_order *order = calloc(1, sizeof(*order));

	if (!order) {
		rest_error(r, 500, "OutOfMemory", "There is no memory for this request.");
		return NULL;
	}
	*order = (struct rest_order) { .service = s, .request = r, .status = status, .answer = answer };
	r->owner = order;
	r->gone = on_gone;
	return order;
}

/* The pool may be gone by now, and then there is nothing to wait for. */
static void respond_error(struct rest_order *order, const struct error *err)
{
	struct pool *pool = pools_find(order->service->pools, order->request->pool);

	if (pool)
		rest_session_error(order->request, pool_sessions(pool), err);
	else
		rest_error(order->request, 404, "ResourceNotFound", "The session pool was deleted.");
}

void rest_order_refused(struct rest_order *order, const struct error *err)
{
	respond_error(order, err);
	free(order);
}

void rest_order_done(void *data, const struct session_info *info, const struct error *err)
{
	struct rest_order *order = data;

	if (order->request && info)
		rest_json(order->request, order->status, order->answer(order, info));
	else if (order->request)
		respond_error(order, err);
	free(order);
}

struct service *rest_order_service(const struct rest_order *order)
{
	return order->service;
}

struct http_request *rest_order_request(const struct rest_order *order)
{
	return order->request;
}
