#include "api/network.h"

#include "api/network_log.h"
#include "api/rate_limit.h"
#include "api/vmm_child.h"
#include "common/cleanup.h"
#include "common/log.h"
#include "common/network_protocol.h"
#include "common/send_buffer.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
	VMM_FD = 3, /* of hearth-netd */
	LOG_FD = 4,
	END_TIMEOUT_MS = 2000, /* for what it has to say about connections that were open */
	SOCKET_BUFFER = 1 << 20,
	ARGUMENTS_MAX = 24,
	BUFFER_SIZE = 4 * NETWORK_LOG_LINE_MAX,
	LINES_PER_MINUTE = 60 * 64, /* twice what hearth-netd writes for the worst of guests */
};

struct network {
	char id[16];
	char label[160]; /* of log lines: session and pool */
	struct vmm_child child;
	int log_fd;
	bool has_ended;
	bool is_leaving;
	uv_poll_t exit, log;
	uv_timer_t timer;
	int n_open; /* handles that libuv still uses */
	void (*gone)(void *data);
	void *gone_data;
	struct rate_limit lines;
	size_t size;
	char buffer[BUFFER_SIZE];
};

/* ---- the log ----------------------------------------------------------------------------------------------------- */

/* One that was taken over would fill the log, and the disk. */
static bool is_too_much(struct network *n)
{
	if (rate_limit_take(&n->lines, LINES_PER_MINUTE, uv_hrtime()) == 0)
		return false;
	log_warn_limited("%svm=%s hearth-netd writes more than it should: lines are left out", n->label, n->id);
	return true;
}

static void take_lines(struct network *n)
{
	char *line = n->buffer, *end = n->buffer + n->size, *newline;

	while ((newline = memchr(line, '\n', (size_t)(end - line)))) {
		if (!is_too_much(n))
			network_log_line(n->id, n->label, line, (size_t)(newline - line));
		line = newline + 1;
	}
	n->size = (size_t)(end - line);
	memmove(n->buffer, line, n->size);
	/* Longer than a line can be: it is not hearth-netd as we know it. */
	if (n->size == sizeof(n->buffer))
		n->size = 0;
}

/* As read() does. */
static ssize_t read_log(struct network *n)
{
	ssize_t got = read(n->log_fd, n->buffer + n->size, sizeof(n->buffer) - n->size);

	if (got > 0) {
		n->size += (size_t)got;
		take_lines(n);
	}
	return got;
}

static void on_log(uv_poll_t *poll, int status, int events)
{
	struct network *n = poll->data;

	(void)status;
	(void)events;
	if (read_log(n) == 0)
		uv_poll_stop(&n->log); /* its exit says more */
}

/* ---- the end ----------------------------------------------------------------------------------------------------- */

static void on_closed(uv_handle_t *handle)
{
	struct network *n = handle->data;

	if (--n->n_open)
		return;
	vmm_child_close(&n->child);
	close(n->log_fd);
	if (n->gone)
		n->gone(n->gone_data);
	free(n);
}

static void close_handles(struct network *n)
{
	if (n->is_leaving)
		return;
	n->is_leaving = true;
	uv_close((uv_handle_t *)&n->exit, on_closed);
	uv_close((uv_handle_t *)&n->log, on_closed);
	uv_close((uv_handle_t *)&n->timer, on_closed);
}

static const char *exit_reason(const siginfo_t *info)
{
	if (info->si_code != CLD_EXITED)
		return "hearth-netd was killed";
	switch (info->si_status) {
	case NETWORK_EXIT_ENDED:
		return "the VMM's socket has ended";
	case NETWORK_EXIT_FAILURE:
		return "the host could not provide what hearth-netd needs: the log has its own line about it";
	case NETWORK_EXIT_USAGE:
		return "hearth-netd refused its flags or the policy";
	case NETWORK_EXIT_PASST:
		return "passt has ended";
	case NETWORK_EXIT_FORBIDDEN_CALL:
		return "hearth-netd broke its jail's rules: it may have been taken over";
	default:
		return "hearth-netd ended with an unknown status";
	}
}

static void on_exit_of_process(uv_poll_t *poll, int status, int events)
{
	struct network *n = poll->data;
	siginfo_t info = { 0 };

	(void)status;
	(void)events;
	if (vmm_child_is_own(&n->child) && !vmm_child_reap(&n->child, &info))
		return;
	/* Nobody writes any more: this comes to an end. */
	while (read_log(n) > 0)
		;
	n->has_ended = true;
	uv_poll_stop(&n->exit);
	uv_poll_stop(&n->log);
	if (!n->gone)
		log_warn("%svm=%s the guest is without network: %s", n->label, n->id,
			 vmm_child_is_own(&n->child) ? exit_reason(&info) : "hearth-netd has ended");
	else
		close_handles(n);
}

static void on_end_timeout(uv_timer_t *timer)
{
	struct network *n = timer->data;

	log_warn("vm=%s hearth-netd did not end within %d ms and is killed", n->id, END_TIMEOUT_MS);
	vmm_child_kill(&n->child);
}

void network_end(struct network *n, void (*gone)(void *data), void *data)
{
	n->gone = gone;
	n->gone_data = data;
	if (n->has_ended)
		close_handles(n);
	else
		uv_timer_start(&n->timer, on_end_timeout, END_TIMEOUT_MS, 0);
}

void network_leave(struct network *n)
{
	if (n)
		close_handles(n);
}

void network_name_session(struct network *n, const char *session, const char *pool)
{
	if (n)
		snprintf(n->label, sizeof(n->label), "session=%.8s pool=%.63s ", session, pool);
}

/* ---- start ------------------------------------------------------------------------------------------------------- */

/* Takes child and descriptor over. NULL if there is no memory: then it does not. */
static struct network *create(uv_loop_t *loop, const char *id, const struct vmm_child *child, int *log_fd)
{
	struct network *n = calloc(1, sizeof(*n));

	if (!n)
		return NULL;
	snprintf(n->id, sizeof(n->id), "%s", id);
	n->child = *child;
	n->log_fd = steal_fd(log_fd);
	/* Fails only for descriptors that epoll cannot watch; these two are of kinds that it can. */
	if (uv_poll_init(loop, &n->exit, n->child.pid_fd) < 0 || uv_poll_init(loop, &n->log, n->log_fd) < 0)
		abort();
	uv_timer_init(loop, &n->timer);
	n->exit.data = n->log.data = n->timer.data = n;
	n->n_open = 3;
	uv_poll_start(&n->exit, UV_READABLE, on_exit_of_process);
	uv_poll_start(&n->log, UV_READABLE, on_log);
	return n;
}

static int write_policy(const char *path, const char *text)
{
	AUTO_FD int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
	size_t size = strlen(text);
	ssize_t n;

	if (fd < 0)
		return -errno;
	n = write(fd, text, size);
	if (n < 0)
		return -errno;
	return (size_t)n < size ? -ENOSPC : 0; /* half a policy could allow what the other half denies */
}

/* Both ends of the log: hearthd's, and hearth-netd's with a number that no target has. */
static int open_log(const char *path, int *own, int *its)
{
	AUTO_FD int both = -1;

	if (mkfifo(path, 0600) < 0)
		return -errno;
	both = open(path, O_RDWR | O_NONBLOCK | O_CLOEXEC | O_NOFOLLOW);
	*own = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC | O_NOFOLLOW);
	*its = both < 0 ? -1 : fcntl(both, F_DUPFD_CLOEXEC, LOG_FD + 1);
	return *own < 0 || *its < 0 ? -errno : 0;
}

int network_make_socket(int ends[2])
{
	int low[2], rc;

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, low) < 0)
		return -errno;
	/* Above the numbers that children get them as. */
	ends[0] = fcntl(low[0], F_DUPFD_CLOEXEC, LOG_FD + 1);
	ends[1] = fcntl(low[1], F_DUPFD_CLOEXEC, LOG_FD + 1);
	rc = ends[0] < 0 || ends[1] < 0 ? -errno : 0;
	/* The usual size takes three of the longest frames. */
	for (int i = 0; rc == 0 && i < 2; i++)
		send_buffer_want(ends[i], SOCKET_BUFFER);
	close(low[0]);
	close(low[1]);
	return rc;
}

static int start_process(struct vmm_child *child, uv_loop_t *loop, const struct network_start *start, int vmm_fd,
			 int log_fd, struct error *err)
{
	char *arguments[ARGUMENTS_MAX] = {
		(char *)start->netd,
		"--vmm",
		"3",
		"--log",
		"4",
		"--policy",
		(char *)start->directory->network_policy,
		"--id",
		(char *)start->id,
		"--jail",
		(char *)start->jail,
	};
	unsigned int n = 11;
	char user[16];
	const struct vmm_process process = {
		.arguments = arguments,
		.inherited = { { vmm_fd, VMM_FD }, { log_fd, LOG_FD } },
		.n_inherited = 2,
		.is_jailed = strcmp(start->jail, "off") != 0,
	};

	if (start->user) {
		snprintf(user, sizeof(user), "%u", start->user);
		arguments[n++] = "--jail-user";
		arguments[n++] = user;
	}
	for (unsigned int i = 0; i < start->cgroups->n; i++) {
		arguments[n++] = "--jail-cgroup";
		arguments[n++] = (char *)start->cgroups->files[i];
	}
	return vmm_child_start(child, loop, &process, err);
}

struct network *network_spawn(uv_loop_t *loop, const struct network_start *start, int *vmm_fd, struct error *err)
{
	const struct microvm_directory *d = start->directory;
	AUTO_FD int own_log = -1, its_log = -1, its_socket = -1, vmm_socket = -1;
	struct vmm_child child;
	struct network *n = NULL;
	int ends[2] = { -1, -1 }, rc = write_policy(d->network_policy, start->policy);

	if (rc == 0)
		rc = open_log(d->network_log, &own_log, &its_log);
	if (rc == 0)
		rc = network_make_socket(ends);
	vmm_socket = ends[0];
	its_socket = ends[1];
	if (rc < 0) {
		error_set(err, -rc, "cannot start %s: %s", start->netd, strerror(-rc));
		return NULL;
	}
	if (start_process(&child, loop, start, its_socket, its_log, err) < 0)
		return NULL;
	rc = pid_file_write(d->network_pid, child.pid);
	if (rc == 0) {
		n = create(loop, start->id, &child, &own_log);
		rc = n ? 0 : -ENOMEM;
	}
	if (rc < 0) {
		error_set(err, -rc, "cannot watch %s: %s", start->netd, strerror(-rc));
		vmm_child_discard(&child);
		return NULL;
	}
	*vmm_fd = steal_fd(&vmm_socket);
	return n;
}

struct network *network_adopt(uv_loop_t *loop, const struct microvm_directory *d, const char *id, struct error *err)
{
	AUTO_FD int log_fd = open(d->network_log, O_RDONLY | O_NONBLOCK | O_CLOEXEC | O_NOFOLLOW);
	struct vmm_child child;
	struct network *n;

	if (log_fd < 0)
		return NULL;
	if (!vmm_child_adopt(&child, pid_file_read(d->network_pid), id)) {
		error_set(err, ESRCH, "its hearth-netd has ended");
		return NULL;
	}
	n = create(loop, id, &child, &log_fd);
	if (!n) {
		error_set(err, ENOMEM, "out of memory");
		vmm_child_close(&child);
	}
	return n;
}

/* ---- whether there can be one ------------------------------------------------------------------------------------ */

static bool is_forbidden(const char *path)
{
	AUTO_FD int fd = open(path, O_RDONLY | O_CLOEXEC);
	char text[16] = "";

	return fd >= 0 && read(fd, text, sizeof(text) - 1) > 0 && strcmp(text, "0\n") == 0;
}

bool network_is_possible(const char *netd, char *lacks, size_t size)
{
	char beside[PATH_MAX];
	const char *slash = strrchr(netd, '/');

	snprintf(beside, sizeof(beside), "%.*spasst", slash ? (int)(slash - netd + 1) : 0, netd);
	if (access(netd, X_OK) < 0)
		snprintf(lacks, size, "%s is missing: build it with make", netd);
	else if (access(beside, X_OK) < 0)
		snprintf(lacks, size, "%s is missing: build it with scripts/build-passt", beside);
	else if (is_forbidden("/proc/sys/user/max_user_namespaces") ||
		 (geteuid() != 0 && is_forbidden("/proc/sys/kernel/unprivileged_userns_clone")))
		snprintf(lacks, size,
			 "passt needs user namespaces: set the sysctls user.max_user_namespaces and "
			 "kernel.unprivileged_userns_clone");
	else
		return true;
	return false;
}
