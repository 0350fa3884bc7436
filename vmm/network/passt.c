#include "vmm/network/passt.h"

#include "common/cleanup.h"
#include "common/send_buffer.h"
#include "vmm/network/byte_order.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
	PASST_FD = 3,
	PASST_SOCKET_BUFFER = 4 << 20,
	EXEC_FAILED = 127,
};

/* ---- start ------------------------------------------------------------------------------------------------------- */

/* No UDP (vmm/network/gate.h says why), no ping, no way in, no way to the host itself, nothing that configures a guest. */
static void execute(const char *file, const char *user)
{
	char *const no_environment[] = { NULL };
	char *arguments[] = { (char *)"passt",       (char *)"--foreground",
			      (char *)"--quiet",     (char *)"--fd",
			      (char *)"3",           (char *)"--ipv4-only",
			      (char *)"--address",   (char *)NETWORK_GUEST_ADDRESS,
			      (char *)"--netmask",   (char *)NETWORK_NETMASK,
			      (char *)"--gateway",   (char *)NETWORK_GATEWAY,
			      (char *)"--mac-addr",  (char *)"02:00:00:00:00:01",
			      (char *)"--no-map-gw", (char *)"--tcp-ports",
			      (char *)"none",        (char *)"--udp-ports",
			      (char *)"none",        (char *)"--no-udp",
			      (char *)"--no-icmp",   (char *)"--no-dhcp",
			      (char *)"--no-ndp",    (char *)"--no-dhcpv6",
			      (char *)"--no-ra",     (char *)"--dns",
			      (char *)"none",        (char *)"--search",
			      (char *)"none",        (char *)"--runas",
			      (char *)user,          NULL };

	if (!user)
		arguments[sizeof(arguments) / sizeof(arguments[0]) - 3] = NULL;
	execve(file, arguments, no_environment);
}

/* In the child. */
static void become_passt(const char *file, const struct jail *jail, int fd, pid_t parent)
{
	char user[32] = "";
	struct error err = { 0 };
	const int null = open("/dev/null", O_RDONLY | O_CLOEXEC);

	signal(SIGCHLD, SIG_DFL);
	signal(SIGPIPE, SIG_DFL);
	/* A change of its user undoes this; what counts then is that its socket ends. */
	prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
	if (getppid() != parent)
		_exit(EXEC_FAILED);
	if (jail->mode != JAIL_OFF && jail_enter_cgroups(jail, &err) < 0 && jail->mode == JAIL_FULL)
		_exit(EXEC_FAILED);
	if (null < 0 || dup2(null, STDIN_FILENO) < 0 || dup2(STDERR_FILENO, STDOUT_FILENO) < 0)
		_exit(EXEC_FAILED);
	/* dup2() to itself would leave it to be closed. */
	if (fd == PASST_FD ? fcntl(fd, F_SETFD, 0) < 0 : dup2(fd, PASST_FD) < 0)
		_exit(EXEC_FAILED);
	close_range(PASST_FD + 1, UINT_MAX, 0);
	if (jail->mode != JAIL_OFF && jail->user >= 0 && geteuid() == 0)
		snprintf(user, sizeof(user), "%d:%d", jail->user, jail->user);
	execute(file, *user ? user : NULL);
	_exit(EXEC_FAILED);
}

int passt_start(struct passt *passt, const char *file, const struct jail *jail, struct error *err)
{
	AUTO_FD int own = -1, its = -1;
	int ends[2];
	const pid_t parent = getpid();
	pid_t child;

	if (access(file, X_OK) < 0)
		return error_set(err, errno, "%s: %s; run scripts/build-passt", file, strerror(errno));
	/* passt wants to wait where it has begun with a frame; we say with each call that we don't. */
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) < 0)
		return error_set(err, errno, "cannot make a socket for passt: %s", strerror(errno));
	own = ends[0];
	its = ends[1];
	/* passt loses what it cannot send at once, and finds out late. */
	send_buffer_want(its, PASST_SOCKET_BUFFER);
	child = fork();
	if (child < 0)
		return error_set(err, errno, "cannot start passt: %s", strerror(errno));
	if (child == 0)
		become_passt(file, jail, its, parent);
	passt->fd = steal_fd(&own);
	return 0;
}

/* ---- the stream -------------------------------------------------------------------------------------------------- */

bool passt_is_behind(const struct passt *passt)
{
	return passt->out_begin < passt->out_end;
}

static bool would_wait(int problem)
{
	return problem == EAGAIN || problem == EINTR || problem == ENOBUFS;
}

int passt_flush(struct passt *passt)
{
	while (passt_is_behind(passt)) {
		const ssize_t sent = send(passt->fd, passt->out + passt->out_begin, passt->out_end - passt->out_begin,
					  MSG_NOSIGNAL | MSG_DONTWAIT);

		if (sent < 0)
			return would_wait(errno) ? 0 : -errno;
		passt->out_begin += (size_t)sent;
	}
	passt->out_begin = passt->out_end = 0;
	return 0;
}

int passt_send(struct passt *passt, const uint8_t *frame, size_t size)
{
	uint8_t *to = passt->out + passt->out_end;

	if (PASST_PREFIX_SIZE + size > sizeof(passt->out) - passt->out_end)
		return 0; /* it is dropped, as by any network that is full */
	put32(to, (uint32_t)size);
	memcpy(to + PASST_PREFIX_SIZE, frame, size);
	passt->out_end += PASST_PREFIX_SIZE + size;
	return passt_flush(passt);
}

int passt_receive(struct passt *passt)
{
	ssize_t n;

	memmove(passt->in, passt->in + passt->in_begin, passt->in_end - passt->in_begin);
	passt->in_end -= passt->in_begin;
	passt->in_begin = 0;
	n = recv(passt->fd, passt->in + passt->in_end, sizeof(passt->in) - passt->in_end, MSG_DONTWAIT);
	if (n < 0)
		return would_wait(errno) ? 0 : -errno;
	passt->in_end += (size_t)n;
	return n == 0 ? -EPIPE : 1;
}

int passt_next(struct passt *passt, uint8_t **frame, size_t *size)
{
	const size_t have = passt->in_end - passt->in_begin;
	uint8_t *prefix = passt->in + passt->in_begin;

	if (have < PASST_PREFIX_SIZE)
		return 0;
	*size = get32(prefix);
	if (*size < NETWORK_FRAME_MIN || *size > NETWORK_FRAME_MAX)
		return -EPROTO;
	if (have < PASST_PREFIX_SIZE + *size)
		return 0;
	*frame = prefix + PASST_PREFIX_SIZE;
	passt->in_begin += PASST_PREFIX_SIZE + *size;
	return 1;
}
