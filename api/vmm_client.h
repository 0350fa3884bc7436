/*
 * One hearth-vmm process and the host's end of its control socket (vmm_protocol.h): starts it, gives it orders, hears
 * its events, watches its exit and reaps it. Knows processes, not guests.
 */
#ifndef HEARTH_API_VMM_CLIENT_H
#define HEARTH_API_VMM_CLIENT_H

#include "common/error.h"
#include "common/vmm_protocol.h"

#include <uv.h>

struct vmm_client;

struct vmm_events {
	/* An order was answered; `status` is 0 or an errno value, `text` explains it. */
	void (*answered)(void *owner, enum vmm_message_type order, int status, const char *text);
	/* The process is gone and reaped: the last event. `reason` is a phrase such as "the guest kernel panicked". */
	void (*exited)(void *owner, const char *reason);
};

/*
 * Starts `arguments` (NULL-terminated; [0] is the file) with the control socket as descriptor VMM_CONTROL_FD, in a
 * process group of its own, so that Ctrl-C reaches hearthd alone. NULL on failure, with *err filled.
 */
enum { VMM_CONTROL_FD = 3 };
struct vmm_client *vmm_client_spawn(uv_loop_t *loop, char *const arguments[], const struct vmm_events *events,
				    void *owner, struct error *err);

/* Sends an order; 0 or -errno. */
int vmm_client_order(struct vmm_client *c, enum vmm_message_type order);

/* SIGKILL; exited() follows. */
void vmm_client_kill(struct vmm_client *c);

/* Frees the client, later. Only after exited(); NULL is fine. */
void vmm_client_close(struct vmm_client *c);

#endif
