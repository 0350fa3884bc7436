/*
 * The control socket: an order in, a vm_* call, an answer out (common/vmm_protocol.h). It listens; who connects gives
 * orders, one at a time. While nobody is connected a clock runs, at the end of which the VM ends.
 */
#ifndef HEARTH_VMM_CONTROL_H
#define HEARTH_VMM_CONTROL_H

#include "common/error.h"
#include "common/vmm_protocol.h"
#include "vmm/event_loop.h"

#include <stdint.h>

struct vm;

struct control {
	struct event_source listener; /* fd -1: there is no control socket */
	struct event_source connection;
	struct event_source orphan_timer;
	int orphan_timeout_s;
	struct event_loop *loop;
	struct vm *vm;     /* NULL until it is prepared */
	uint64_t start_us; /* when main began, CLOCK_MONOTONIC */
	uint64_t ready_us; /* from there until the VM was prepared */
};

uint64_t control_clock_us(void);

/* Takes over `fd`, a listening SOCK_SEQPACKET socket; -1 for none. 0, or negative with *err set. */
int control_open(struct control *control, int fd, int orphan_timeout_s, uint64_t start_us, struct error *err);

/* Takes orders for `vm` from now on. 0 or -errno. */
int control_start(struct control *control, struct event_loop *loop, struct vm *vm);

/* Sends VMM_ENDED, also to who has connected but was not heard yet. The process must end with `status` then. */
void control_ended(struct control *control, enum vmm_exit status, const char *why);

/* VMM_ENDED of a process that broke its jail's rules, by write() alone, from any thread. */
void control_report_violation(const struct control *control, const char *sentence);

#endif
