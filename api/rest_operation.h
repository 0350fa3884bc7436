/* The resource of an asynchronous execution: executions/{id}. */
#ifndef HEARTH_API_REST_OPERATION_H
#define HEARTH_API_REST_OPERATION_H

#include "api/operation.h"

/* Answers the POST that began it: where to ask for it, and how it is now. */
void rest_operation_accepted(struct http_request *r, const struct operation *o, const char *identifier,
			     unsigned int status);

#endif
