/*
 * Starts a hearth-vmm process, or a hearth-netd, as the first one of a PID namespace: the only part of its jail that it
 * cannot build itself (vmm/jail.c has the rest).
 */
#ifndef HEARTH_API_VMM_PROCESS_H
#define HEARTH_API_VMM_PROCESS_H

#include "common/error.h"

#include <stdbool.h>
#include <sys/types.h>

enum { VMM_PROCESS_FDS = 2 };

struct vmm_process {
	char *const *arguments; /* NULL-terminated; [0] is the file */
	struct vmm_process_fd {
		int fd; /* above all `as`, close-on-exec */
		int as;
	} inherited[VMM_PROCESS_FDS];
	unsigned int n_inherited;
	int output_fd;  /* becomes its stdout and stderr; close-on-exec; STDERR_FILENO: hearthd's */
	bool is_jailed; /* in a PID namespace, where the machine allows it */
};

/*
 * Starts it in a session of its own, so that Ctrl-C reaches hearthd alone, without environment, and with three more
 * descriptors: nothing to read, and `output_fd` as both outputs. *pid is as hearthd sees it. 0 or -errno.
 */
int vmm_process_spawn(const struct vmm_process *process, pid_t *pid);

/* Whether that process was started with `--id id`: process IDs are used again. */
bool vmm_process_has_id(pid_t pid, const char *id);

/*
 * Has `vmm`, the path of hearth-vmm, build a jail, and says in `lacks` (`size` bytes) which parts this machine does not
 * allow; empty if the jail is complete. Takes as long as a process takes. 0 or negative with *err filled.
 */
int vmm_process_probe_jail(const char *vmm, char *lacks, size_t size, struct error *err);

#endif
