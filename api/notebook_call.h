/*
 * One HTTP request that runs a notebook: its cells one after the other as executions of a session, then the answer, which
 * is the notebook with what came of it; or Server-Sent Events that tell of each cell, and the notebook at the end.
 *
 * Other executions of the session may come between two cells. A client that hangs up ends the run.
 */
#ifndef HEARTH_API_NOTEBOOK_CALL_H
#define HEARTH_API_NOTEBOOK_CALL_H

#include "api/notebook.h"
#include "api/rest.h"

struct notebook_form {
	char identifier[REST_IDENTIFIER_MAX + 1]; /* of the session */
	enum agent_language language;             /* 0: that of the pool */
	int64_t timeout_s;                        /* of each cell; 0: the default */
	bool allow_errors;                        /* a cell that fails does not end the run */
	bool as_events;
};

/* Takes the request over and answers it in any case. Takes the notebook, which is empty afterwards. */
void notebook_call_start(struct service *service, struct pool *pool, struct http_request *r,
			 const struct notebook_form *form, struct notebook *notebook);

#endif
