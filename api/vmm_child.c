#include "api/vmm_child.h"

#include "common/cleanup.h"

#include <errno.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/wait.h>

int vmm_child_start(struct vmm_child *child, uv_loop_t *loop, const struct vmm_process *process, struct error *err)
{
	struct vmm_process complete = *process;
	AUTO_FD int output_fd = -1;
	int rc;

	*child = (struct vmm_child) { .pid = -1, .pid_fd = -1, .output = vmm_output_open(loop, &output_fd) };
	complete.output_fd = output_fd;
	rc = child->output ? vmm_process_spawn(&complete, &child->pid) : -errno;
	if (rc < 0) {
		vmm_child_close(child);
		return error_set(err, -rc, "cannot start %s: %s", process->arguments[0], strerror(-rc));
	}
	vmm_output_set_pid(child->output, child->pid);
	child->pid_fd = pidfd_open(child->pid, 0);
	if (child->pid_fd >= 0)
		return 0;
	error_set(err, errno, "cannot watch %s: %s", process->arguments[0], strerror(errno));
	vmm_child_discard(child);
	return -err->code;
}

bool vmm_child_adopt(struct vmm_child *child, pid_t pid, const char *id)
{
	*child = (struct vmm_child) { .pid = pid, .pid_fd = pid > 0 ? pidfd_open(pid, 0) : -1 };
	if (child->pid_fd >= 0 && vmm_process_has_id(pid, id))
		return true;
	vmm_child_close(child);
	return false;
}

bool vmm_child_reap(const struct vmm_child *child, siginfo_t *info)
{
	*info = (siginfo_t) { 0 };
	return vmm_child_is_own(child) && waitid(P_PIDFD, (id_t)child->pid_fd, info, WEXITED | WNOHANG) == 0 &&
	       info->si_pid != 0;
}

void vmm_child_kill(const struct vmm_child *child)
{
	pidfd_send_signal(child->pid_fd, SIGKILL, NULL, 0);
}

void vmm_child_discard(struct vmm_child *child)
{
	kill(child->pid, SIGKILL);
	waitpid(child->pid, NULL, 0);
	vmm_child_close(child);
}

void vmm_child_close(struct vmm_child *child)
{
	if (child->pid_fd >= 0)
		close(steal_fd(&child->pid_fd));
	vmm_output_close(child->output);
	child->output = NULL;
}
