#include "api/vmm_client.h"

#include "common/bytes.h"
#include "common/cleanup.h"
#include "common/log.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>

enum {
	PENDING_MAX = 8, /* orders that wait for their answer */
};

struct vmm_client {
	const struct vmm_events *events;
	void *owner;
	int control_fd;
	int pid_fd;
	uv_poll_t control;
	uv_poll_t exit;
	int n_open; /* handles that libuv still uses */
	bool is_closed;
	uint32_t sequence;
	enum vmm_message_type pending[PENDING_MAX]; /* by sequence modulo PENDING_MAX; 0 if answered */
	char ended_text[256];                       /* what VMM_ENDED said */
};

static void take_message(struct vmm_client *c, const uint8_t *data, size_t size)
{
	struct bytes b = bytes_from(data, size);
	uint16_t type = bytes_get_u16(&b);
	uint16_t status = bytes_get_u16(&b);
	uint32_t sequence = bytes_get_u32(&b);
	enum vmm_message_type *order = &c->pending[sequence % PENDING_MAX];
	char text[256];

	bytes_get_u64(&b);
	if (b.failed)
		return;
	snprintf(text, sizeof(text), "%.*s", (int)bytes_left(&b), (const char *)data + b.position);
	if (type == VMM_ENDED) {
		memcpy(c->ended_text, text, sizeof(text));
	} else if (type == VMM_ANSWER && *order && sequence <= c->sequence) {
		enum vmm_message_type answered = *order;

		*order = 0;
		c->events->answered(c->owner, answered, status, text);
	}
}

static void on_control(uv_poll_t *poll, int status, int events)
{
	struct vmm_client *c = poll->data;
	uint8_t packet[VMM_MESSAGE_MAX];
	ssize_t n;

	(void)status;
	(void)events;
	n = recv(c->control_fd, packet, sizeof(packet), MSG_DONTWAIT);
	if (n > 0)
		take_message(c, packet, (size_t)n);
	else if (n == 0 || (errno != EAGAIN && errno != EINTR))
		uv_poll_stop(&c->control); /* the process ends: its exit says more */
}

static const char *exit_reason(int status)
{
	switch (status) {
	case VMM_EXIT_STOPPED:
		return "it was stopped";
	case VMM_EXIT_FAILURE:
		return "the host could not provide what it needs";
	case VMM_EXIT_USAGE:
		return "hearth-vmm refused its flags";
	case VMM_EXIT_REBOOT:
		return "the guest asked for a reset";
	case VMM_EXIT_PANIC:
		return "the guest kernel panicked";
	case VMM_EXIT_TRIPLE_FAULT:
		return "the guest's CPU met a triple fault";
	case VMM_EXIT_KVM_ERROR:
		return "KVM could not run the guest";
	case VMM_EXIT_DEVICE_BROKEN:
		return "the guest broke a device's queue";
	case VMM_EXIT_ORPHANED:
		return "it lost its control socket";
	default:
		return "hearth-vmm ended with an unknown status";
	}
}

static void on_exit_of_process(uv_poll_t *poll, int poll_status, int events)
{
	struct vmm_client *c = poll->data;
	siginfo_t info = { 0 };
	char reason[512];
	uint8_t packet[VMM_MESSAGE_MAX];
	ssize_t n;

	(void)poll_status;
	(void)events;
	if (waitid(P_PIDFD, (id_t)c->pid_fd, &info, WEXITED | WNOHANG) < 0 || info.si_pid == 0)
		return;
	/* What it said last may still lie in the socket. */
	while ((n = recv(c->control_fd, packet, sizeof(packet), MSG_DONTWAIT)) > 0)
		take_message(c, packet, (size_t)n);
	uv_poll_stop(&c->control);
	uv_poll_stop(&c->exit);
	if (info.si_code != CLD_EXITED)
		snprintf(reason, sizeof(reason), "hearth-vmm was killed by signal %d (%s)", info.si_status,
			 strsignal(info.si_status));
	else if (c->ended_text[0])
		snprintf(reason, sizeof(reason), "%s (%s)", exit_reason(info.si_status), c->ended_text);
	else
		snprintf(reason, sizeof(reason), "%s", exit_reason(info.si_status));
	c->events->exited(c->owner, reason);
}

/* The child's descriptors are 0-3 alone, since everything else is opened close-on-exec. */
static int spawn(char *const arguments[], int control_fd, pid_t *pid)
{
	posix_spawn_file_actions_t actions;
	posix_spawnattr_t attributes;
	sigset_t none, all;
	int rc;

	sigemptyset(&none);
	sigfillset(&all);
	posix_spawn_file_actions_init(&actions);
	posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
	posix_spawn_file_actions_adddup2(&actions, STDERR_FILENO, STDOUT_FILENO);
	posix_spawn_file_actions_adddup2(&actions, control_fd, VMM_CONTROL_FD);
	posix_spawnattr_init(&attributes);
	posix_spawnattr_setsigmask(&attributes, &none);
	posix_spawnattr_setsigdefault(&attributes, &all);
	posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
	rc = posix_spawn(pid, arguments[0], &actions, &attributes, arguments, environ);
	posix_spawnattr_destroy(&attributes);
	posix_spawn_file_actions_destroy(&actions);
	return -rc;
}

/* Both ends, close-on-exec; ours never below VMM_CONTROL_FD + 1, so that dup2 in the child always makes a copy. */
static int make_control_pair(int *ours, int *theirs)
{
	int fds[2], rc = 0;

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds) < 0)
		return -errno;
	*ours = fds[0];
	*theirs = fcntl(fds[1], F_DUPFD_CLOEXEC, VMM_CONTROL_FD + 1);
	if (*theirs < 0)
		rc = -errno;
	close(fds[1]);
	return rc;
}

static void on_closed(uv_handle_t *handle)
{
	struct vmm_client *c = handle->data;

	if (--c->n_open)
		return;
	close(c->control_fd);
	close(c->pid_fd);
	free(c);
}

static void watch(struct vmm_client *c, uv_loop_t *loop, uv_poll_t *poll, int fd, uv_poll_cb callback)
{
	/* Fails only for descriptors that epoll cannot watch; these two are of kinds that it can. */
	if (uv_poll_init(loop, poll, fd) < 0 || uv_poll_start(poll, UV_READABLE, callback) < 0)
		abort();
	poll->data = c;
	c->n_open++;
}

struct vmm_client *vmm_client_spawn(uv_loop_t *loop, char *const arguments[], const struct vmm_events *events,
				    void *owner, struct error *err)
{
	AUTO_FD int ours = -1, theirs = -1, pid_fd = -1;
	struct vmm_client *c = calloc(1, sizeof(*c));
	int rc = c ? make_control_pair(&ours, &theirs) : -ENOMEM;
	pid_t pid = -1;

	if (rc == 0)
		rc = spawn(arguments, theirs, &pid);
	if (rc < 0) {
		free(c);
		error_set(err, -rc, "cannot start %s: %s", arguments[0], strerror(-rc));
		return NULL;
	}
	pid_fd = pidfd_open(pid, 0);
	if (pid_fd < 0) {
		error_set(err, errno, "cannot watch %s: %s", arguments[0], strerror(errno));
		kill(pid, SIGKILL);
		waitpid(pid, NULL, 0);
		free(c);
		return NULL;
	}
	c->events = events;
	c->owner = owner;
	c->control_fd = steal_fd(&ours);
	c->pid_fd = steal_fd(&pid_fd);
	watch(c, loop, &c->control, c->control_fd, on_control);
	watch(c, loop, &c->exit, c->pid_fd, on_exit_of_process);
	return c;
}

int vmm_client_order(struct vmm_client *c, enum vmm_message_type order)
{
	uint8_t packet[VMM_MESSAGE_HEADER_SIZE];
	struct bytes b = bytes_over(packet, sizeof(packet));

	c->sequence++;
	bytes_put_u16(&b, (uint16_t)order);
	bytes_put_u16(&b, 0);
	bytes_put_u32(&b, c->sequence);
	bytes_put_u64(&b, 0);
	c->pending[c->sequence % PENDING_MAX] = order;
	if (send(c->control_fd, packet, sizeof(packet), MSG_DONTWAIT | MSG_NOSIGNAL) < 0)
		return -errno;
	return 0;
}

void vmm_client_kill(struct vmm_client *c)
{
	pidfd_send_signal(c->pid_fd, SIGKILL, NULL, 0);
}

void vmm_client_close(struct vmm_client *c)
{
	if (!c || c->is_closed)
		return;
	c->is_closed = true;
	uv_close((uv_handle_t *)&c->control, on_closed);
	uv_close((uv_handle_t *)&c->exit, on_closed);
}
