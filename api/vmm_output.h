/*
 * What a hearth-vmm or hearth-netd writes to its stderr, on its way into hearthd's log: through a pipe that ends when
 * there was too much, since one that its guest has taken may write as much as it likes. It then writes into a broken
 * pipe, which harms no other. What lives on without its hearthd writes nowhere.
 */
#ifndef HEARTH_API_VMM_OUTPUT_H
#define HEARTH_API_VMM_OUTPUT_H

#include <sys/types.h>
#include <uv.h>

struct vmm_output;

enum {
	VMM_OUTPUT_MAX = 256 << 10, /* bytes of one process in its life */
};

/* Makes one; *write_fd, to be closed by the caller, is what the process gets. NULL, with errno set, on failure. */
struct vmm_output *vmm_output_open(uv_loop_t *loop, int *write_fd);

/* Whose it is, for the log. */
void vmm_output_set_pid(struct vmm_output *o, pid_t pid);

/* Takes what is there still, and frees it. NULL is fine. */
void vmm_output_close(struct vmm_output *o);

#endif
