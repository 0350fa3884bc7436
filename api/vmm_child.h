/*
 * A hearth-vmm or a hearth-netd that runs: started with its output on the way to the log, or left by an earlier hearthd. Who
 * has one watches its `pid_fd`, which is readable once it has ended.
 */
#ifndef HEARTH_API_VMM_CHILD_H
#define HEARTH_API_VMM_CHILD_H

#include "api/vmm_output.h"
#include "api/vmm_process.h"
#include "common/error.h"

#include <signal.h>
#include <stdbool.h>
#include <uv.h>

struct vmm_child {
	pid_t pid;
	int pid_fd;
	struct vmm_output *output; /* NULL: an earlier hearthd has started it */
};

/* Starts `process`, whose output_fd is set here. 0, or negative with *err set: then there is nothing to close. */
int vmm_child_start(struct vmm_child *child, uv_loop_t *loop, const struct vmm_process *process, struct error *err);

/* Takes over what an earlier hearthd started with `--id id`. False if it has ended: then there is nothing to close. */
bool vmm_child_adopt(struct vmm_child *child, pid_t pid, const char *id);

/* Whether it is ours to reap. */
static inline bool vmm_child_is_own(const struct vmm_child *child)
{
	return child->output;
}

/* Reaps one of ours that has ended, and says how. False if it runs, or is not ours. */
bool vmm_child_reap(const struct vmm_child *child, siginfo_t *info);

/* Its end is told as any other. */
void vmm_child_kill(const struct vmm_child *child);

/* Kills and reaps one that was just started, and closes it. */
void vmm_child_discard(struct vmm_child *child);

/* Closes what there is of it here; it may run on. */
void vmm_child_close(struct vmm_child *child);

#endif
