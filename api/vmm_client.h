/*
 * One hearth-vmm process and the host's end of its control socket (vmm_protocol.h): starts it, gives it orders, hears
 * its events, watches its exit and reaps it. Knows processes, not guests.
 */
#ifndef HEARTH_API_VMM_CLIENT_H
#define HEARTH_API_VMM_CLIENT_H

#include "common/error.h"
#include "common/vmm_protocol.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>
#include <uv.h>

struct vmm_client;

struct vmm_events {
	/* An order was answered; `status` is 0 or an errno value, `text` explains it. */
	void (*answered)(void *owner, enum vmm_message_type order, int status, const char *text);
	/* The process is gone and reaped: the last event. `reason` is a phrase such as "the guest's kernel panicked". */
	void (*exited)(void *owner, const char *reason);
};

/*
 * Starts `arguments` (NULL-terminated; [0] is the file) as vmm_process_spawn() does. The control socket is made at
 * `control_path`; the process gets its listening end as descriptor VMM_CONTROL_FD, and net_fd, which stays the caller's
 * and lies above both, as VMM_NET_FD; -1: none. NULL on failure, with *err filled.
 */
enum { VMM_CONTROL_FD = 3, VMM_NET_FD = 4 };
struct vmm_client *vmm_client_spawn(uv_loop_t *loop, const char *control_path, char *const arguments[], int net_fd,
				    bool is_jailed, const struct vmm_events *events, void *owner, struct error *err);

/*
 * Takes over the process `pid` of an earlier hearthd, which listens at `control_path` and was started with `--id id`.
 * NULL on failure, with *err filled: it is gone, or is another one.
 */
struct vmm_client *vmm_client_adopt(uv_loop_t *loop, const char *control_path, pid_t pid, const char *id,
				    const struct vmm_events *events, void *owner, struct error *err);

pid_t vmm_client_pid(const struct vmm_client *c);

/* Sends an order; 0 or -errno. */
int vmm_client_order(struct vmm_client *c, enum vmm_message_type order);

/* VMM_SNAPSHOT with the descriptors of the state file and the memory file, which stay the caller's. 0 or -errno. */
int vmm_client_order_snapshot(struct vmm_client *c, int state_fd, int memory_fd);

/* The number NAME=<number> in an answer to VMM_QUERY, or -1. */
int64_t vmm_answer_number(const char *text, const char *name);

/* Whether it holds the word NAME=VALUE. */
bool vmm_answer_has(const char *text, const char *name, const char *value);

/* SIGKILL; exited() follows. */
void vmm_client_kill(struct vmm_client *c);

/* Frees the client, later; no event after it. A process that has not exited runs on. NULL is fine. */
void vmm_client_close(struct vmm_client *c);

#endif
