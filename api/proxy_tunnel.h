/* Bytes both ways between a client and a container, once they have switched to a protocol of their own. */
#ifndef HEARTH_API_PROXY_TUNNEL_H
#define HEARTH_API_PROXY_TUNNEL_H

#include "api/ingress.h"

struct tunnel;

/*
 * Begins. Takes over `ingress`, which may be paused, and `fd`. `over` is called, not from within this call, when both ways
 * have ended or one is broken; the tunnel is gone then. NULL if there is no memory, and then nothing was taken over.
 */
struct tunnel *tunnel_start(uv_loop_t *loop, struct ingress *ingress, int fd, void (*over)(void *owner), void *owner);

/* What was read before it began: sent first, to the one or the other side. */
void tunnel_send_container(struct tunnel *t, const char *data, size_t size);
void tunnel_send_client(struct tunnel *t, const char *data, size_t size);

/* Ends it without a word. NULL is fine. */
void tunnel_end(struct tunnel *t);

#endif
