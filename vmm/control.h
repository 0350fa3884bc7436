/* The control socket: an order in, a vm_* call, an answer out (common/vmm_protocol.h). */
#ifndef HEARTH_VMM_CONTROL_H
#define HEARTH_VMM_CONTROL_H

#include "common/error.h"
#include "common/vmm_protocol.h"
#include "vmm/event_loop.h"

#include <stdint.h>

struct vm;

struct control {
	struct event_source source; /* fd -1: there is no control socket */
	struct event_loop *loop;
	struct vm *vm;     /* NULL until it is prepared */
	uint64_t start_us; /* when main began, CLOCK_MONOTONIC */
};

uint64_t control_clock_us(void);

/* Takes over `fd`, a connected SOCK_SEQPACKET socket; -1 for none. 0, or negative with *err set. */
int control_open(struct control *control, int fd, uint64_t start_us, struct error *err);

/* Takes orders for `vm` from now on. 0 or -errno. */
int control_start(struct control *control, struct event_loop *loop, struct vm *vm);

/* Sends VMM_ENDED. The process must end with `status` then. */
void control_ended(const struct control *control, enum vmm_exit status, const char *why);

#endif
