/*
 * One HTTP request that executes code, from its submission to its answer: collects what comes, and answers either
 * with one JSON body at the end or with Server-Sent Events as it comes.
 *
 * A stream begins when the code does, or with the first keep-alive if that comes sooner; until then a failure is a
 * plain HTTP error, after it the event `error`. A client that reads slowly holds the code up, not this process's memory.
 */
#ifndef HEARTH_API_EXECUTE_CALL_H
#define HEARTH_API_EXECUTE_CALL_H

#include "api/execute_setup.h"

/* Runs it in a session of `pool`. Takes the request over and answers it in any case. Takes request->code. */
void execute_call_start(struct service *service, struct pool *pool, struct http_request *r,
			const struct execute_call_form *form, const char *identifier, struct execute_request *request);

#endif
