/* From a request to execute code to its execution and the collector of its answer: what the service and the pool decide. */
#ifndef HEARTH_API_EXECUTE_SETUP_H
#define HEARTH_API_EXECUTE_SETUP_H

#include "api/execute_answer.h"
#include "api/execute_request.h"
#include "api/rest.h"

struct execute_call_form {
	enum execute_family family;
	unsigned int status; /* of HTTP, for an execution that came to its end */
	bool as_events;
	bool result_as_text;
	const char *operation_id; /* the client's, or NULL */
};

/*
 * Fills all that the caller of sessions_execute() sets, but the events, and what the caller of an answer sets. Takes
 * request->code, which the execution then has. Both are zero before.
 */
void execute_setup(const struct service *service, const struct pool *pool, const struct execute_call_form *form,
		   const char *identifier, struct execute_request *request, struct execution *execution,
		   struct execute_answer *answer);

/* Answers for an execution that sessions_execute() did not take, and *err says why. */
void execute_refuse(struct http_request *r, const struct pool *pool, struct error *err);

#endif
