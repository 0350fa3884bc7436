/* Connections within the guest: to whoever listens on 127.0.0.1. */
#ifndef HEARTH_AGENT_LOOPBACK_H
#define HEARTH_AGENT_LOOPBACK_H

#include "loop.h"

#include <stdint.h>

/*
 * Begins to connect `source`, which must not be open, to a port. It is watched for EPOLLOUT, and how it went is there to be
 * asked at the first event. 0 or -errno; `source` is the caller's to close either way.
 */
int loopback_connect(struct loop_source *source, uint16_t port);

/* How the connecting of a socket went that has an event: 0, or an errno value. */
int loopback_problem(const struct loop_source *source);

#endif
