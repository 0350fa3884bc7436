/*
 * The probes of a container, in Kubernetes' order: the startup probe alone until it succeeds, then liveness and
 * readiness. Where neither a startup nor a readiness probe is given, being ready means that somebody listens on the
 * target port.
 */
#ifndef HEARTH_AGENT_CONTAINER_PROBES_H
#define HEARTH_AGENT_CONTAINER_PROBES_H

#include "common/agent_container.h"

struct container_probes_listener {
	void (*ready)(void);                   /* for the first time, or again */
	void (*unready)(const char *sentence); /* after it was ready */
	void (*failed)(const char *sentence);  /* the container is to be ended */
};

/* The entrypoint runs from now on. Both must stay until container_probes_stop(). */
void container_probes_start(const struct agent_container *container, const struct container_probes_listener *listener);

/* The listener hears nothing any more. */
void container_probes_stop(void);

#endif
