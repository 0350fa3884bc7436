/*
 * AGENT_SETTLE: prepares the guest for being saved and copied. Has both interpreters warm and settled, one after the
 * other, then waits until they rest.
 */
#ifndef HEARTH_AGENT_SETTLE_H
#define HEARTH_AGENT_SETTLE_H

#include "execution.h"
#include "interpreter.h"

#include <stdbool.h>

/* Answers AGENT_SETTLED with `request` when all is done, or with a sentence that says why it cannot be. */
void settle_start(struct execution_host *host, uint64_t request, struct interpreter *python, struct interpreter *node);

/* The host is gone: what began goes on, and nobody is told. */
void settle_abandon(struct execution_host *host);

/* True from settle_start() to AGENT_SETTLED: no code can run. */
bool settle_is_running(void);

/* What the interpreters' listener has to pass on. */
void settle_on_ready(struct interpreter *interpreter);
void settle_on_settled(struct interpreter *interpreter);
void settle_on_death(struct interpreter *interpreter, const char *how);

#endif
