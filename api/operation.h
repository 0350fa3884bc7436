/*
 * An asynchronous execution: nobody waits for it, and its answer is kept until its session ends, or until newer ones
 * have taken its place. Its id is the client's choice or ours; ids are a session's own.
 */
#ifndef HEARTH_API_OPERATION_H
#define HEARTH_API_OPERATION_H

#include "api/execute_setup.h"

enum {
	OPERATIONS_MAX = 100,            /* that are kept in one session */
	OPERATIONS_BYTES_MAX = 64 << 20, /* of their answers together; the newest is kept in any case */
};

struct operation;

/* Submits it to a session of `pool`. Takes request->code. NULL with *err filled, as sessions_execute() fills it. */
struct operation *operation_start(const struct service *service, const struct pool *pool,
				  const struct execute_call_form *form, const char *identifier,
				  struct execute_request *request, struct error *err);

/* NULL if there is none. Valid until the caller returns to the loop. */
struct operation *operation_find(const struct pool *pool, const char *identifier, const char *id);

const char *operation_id(const struct operation *operation);
bool operation_is_over(const struct operation *operation);

/* Interrupts it if it runs, takes it out of the queue if it waits; nothing happens to one that is over. */
void operation_cancel(struct operation *operation);

/* Appends its JSON as it is now. */
void operation_put(const struct operation *operation, struct buffer *json);

#endif
