/*
 * Connections to a session's container that wait for another request. They end with the session, before its machine is
 * saved, when the container says anything or closes, and by themselves after a short time.
 */
#ifndef HEARTH_API_INGRESS_IDLE_H
#define HEARTH_API_INGRESS_IDLE_H

#include "api/ingress.h"
#include "api/session.h"

/* One of the session of an active use, which is the caller's now; NULL if there is none. */
struct ingress *ingress_idle_take(const struct session_use *u, const struct ingress_events *events, void *owner);

/* Takes over one that is open, with nothing on its way. It may be closed at once, if there are enough. */
void ingress_idle_put(uv_loop_t *loop, const struct session_use *u, struct ingress *i);

#endif
