#include "api/vmm_client.h"

#include "api/vmm_child.h"
#include "common/bytes.h"
#include "common/cleanup.h"
#include "common/log.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdalign.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

enum {
	PENDING_MAX = 8, /* orders that wait for their answer */
};

struct vmm_client {
	const struct vmm_events *events;
	void *owner;
	struct vmm_child child;
	int control_fd;
	uv_poll_t control;
	uv_poll_t exit;
	int n_open; /* handles that libuv still uses */
	bool is_closed;
	uint32_t sequence;
	enum vmm_message_type pending[PENDING_MAX]; /* by sequence modulo PENDING_MAX; 0 if answered */
	int ended_status;                           /* what VMM_ENDED said; -1: nothing yet */
	char ended_text[512];
};

static void take_message(struct vmm_client *c, const uint8_t *data, size_t size)
{
	struct bytes b = bytes_from(data, size);
	uint16_t type = bytes_get_u16(&b);
	uint16_t status = bytes_get_u16(&b);
	uint32_t sequence = bytes_get_u32(&b);
	enum vmm_message_type *order = &c->pending[sequence % PENDING_MAX];
	char text[512];

	bytes_get_u64(&b);
	if (b.failed)
		return;
	snprintf(text, sizeof(text), "%.*s", (int)bytes_left(&b), (const char *)data + b.position);
	if (type == VMM_ENDED) {
		c->ended_status = status;
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
		return "the guest's kernel panicked";
	case VMM_EXIT_TRIPLE_FAULT:
		return "the guest's processor shut down (triple fault)";
	case VMM_EXIT_KVM_ERROR:
		return "KVM could not run the guest";
	case VMM_EXIT_DEVICE_BROKEN:
		return "the guest broke a device's queue";
	case VMM_EXIT_ORPHANED:
		return "nobody gave it orders for too long";
	case VMM_EXIT_FORBIDDEN_CALL:
		return "hearth-vmm broke its jail's rules: it may have been taken over";
	default:
		return "hearth-vmm ended with an unknown status";
	}
}

/* What hearth-vmm says then begins with the same words. */
static bool is_end_of_guest(int status)
{
	return status == VMM_EXIT_REBOOT || status == VMM_EXIT_PANIC || status == VMM_EXIT_TRIPLE_FAULT;
}

/* Its exit as waitid() tells it; of a process that is not ours to reap, what it said itself. False: it runs yet. */
static bool get_exit(const struct vmm_client *c, siginfo_t *info)
{
	if (vmm_child_is_own(&c->child))
		return vmm_child_reap(&c->child, info);
	*info = (siginfo_t) { 0 };
	info->si_code = c->ended_status < 0 ? CLD_KILLED : CLD_EXITED;
	info->si_status = c->ended_status;
	return true;
}

static void on_exit_of_process(uv_poll_t *poll, int poll_status, int events)
{
	struct vmm_client *c = poll->data;
	siginfo_t info;
	char reason[640];
	uint8_t packet[VMM_MESSAGE_MAX];
	ssize_t n;

	(void)poll_status;
	(void)events;
	/* What it said last may still lie in the socket. */
	while (!c->is_closed && (n = recv(c->control_fd, packet, sizeof(packet), MSG_DONTWAIT)) > 0)
		take_message(c, packet, (size_t)n);
	if (c->is_closed || !get_exit(c, &info))
		return;
	uv_poll_stop(&c->control);
	uv_poll_stop(&c->exit);
	if (info.si_code != CLD_EXITED && vmm_child_is_own(&c->child))
		snprintf(reason, sizeof(reason), "hearth-vmm was killed by signal %d (%s)", info.si_status,
			 strsignal(info.si_status));
	else if (info.si_code != CLD_EXITED)
		snprintf(reason, sizeof(reason), "hearth-vmm was killed");
	else if (c->ended_text[0] && is_end_of_guest(info.si_status))
		snprintf(reason, sizeof(reason), "%s", c->ended_text);
	else if (c->ended_text[0])
		snprintf(reason, sizeof(reason), "%s (%s)", exit_reason(info.si_status), c->ended_text);
	else
		snprintf(reason, sizeof(reason), "%s", exit_reason(info.si_status));
	c->events->exited(c->owner, reason);
}

/* Close-on-exec, and never below VMM_NET_FD + 1, so that dup2 in the child always makes a copy. */
static int make_socket(void)
{
	AUTO_FD int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	int high = fd < 0 ? -1 : fcntl(fd, F_DUPFD_CLOEXEC, VMM_NET_FD + 1);

	return high < 0 ? -errno : high;
}

static int fill_address(struct sockaddr_un *address, const char *path)
{
	*address = (struct sockaddr_un) { .sun_family = AF_UNIX };
	if (strlen(path) >= sizeof(address->sun_path))
		return -ENAMETOOLONG;
	memcpy(address->sun_path, path, strlen(path) + 1);
	return 0;
}

/* The descriptor, or -errno. */
static int listen_at(const char *path)
{
	AUTO_FD int fd = make_socket();
	struct sockaddr_un address;
	int rc = fd < 0 ? fd : fill_address(&address, path);

	if (rc < 0)
		return rc;
	if (bind(fd, (struct sockaddr *)&address, sizeof(address)) < 0 || listen(fd, 1) < 0)
		return -errno;
	return steal_fd(&fd);
}

/* The descriptor, or -errno. Does not wait: the socket's listener need not have accepted. */
static int connect_to(const char *path)
{
	AUTO_FD int fd = make_socket();
	struct sockaddr_un address;
	int rc = fd < 0 ? fd : fill_address(&address, path);

	if (rc < 0)
		return rc;
	if (connect(fd, (struct sockaddr *)&address, sizeof(address)) < 0)
		return -errno;
	return steal_fd(&fd);
}

static void on_closed(uv_handle_t *handle)
{
	struct vmm_client *c = handle->data;

	if (--c->n_open)
		return;
	close(c->control_fd);
	vmm_child_close(&c->child);
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

/* Takes child and descriptor over. NULL if there is no memory: then it does not. */
static struct vmm_client *create(uv_loop_t *loop, const struct vmm_child *child, int *control_fd,
				 const struct vmm_events *events, void *owner)
{
	struct vmm_client *c = calloc(1, sizeof(*c));

	if (!c)
		return NULL;
	c->events = events;
	c->owner = owner;
	c->child = *child;
	c->ended_status = -1;
	c->control_fd = steal_fd(control_fd);
	watch(c, loop, &c->control, c->control_fd, on_control);
	watch(c, loop, &c->exit, c->child.pid_fd, on_exit_of_process);
	return c;
}

struct vmm_client *vmm_client_spawn(uv_loop_t *loop, const char *control_path, char *const arguments[], int net_fd,
				    bool is_jailed, const struct vmm_events *events, void *owner, struct error *err)
{
	AUTO_FD int listener = listen_at(control_path);
	AUTO_FD int control_fd = listener < 0 ? -1 : connect_to(control_path);
	const struct vmm_process process = {
		.arguments = arguments,
		.inherited = { { listener, VMM_CONTROL_FD }, { net_fd, VMM_NET_FD } },
		.n_inherited = net_fd < 0 ? 1 : 2,
		.is_jailed = is_jailed,
	};
	struct vmm_child child;
	struct vmm_client *c;

	if (control_fd < 0) {
		const int problem = listener < 0 ? listener : control_fd;

		error_set(err, -problem, "cannot start %s: %s", arguments[0], strerror(-problem));
		return NULL;
	}
	if (vmm_child_start(&child, loop, &process, err) < 0)
		return NULL;
	c = create(loop, &child, &control_fd, events, owner);
	if (!c) {
		error_set(err, ENOMEM, "cannot watch %s: %s", arguments[0], strerror(ENOMEM));
		vmm_child_discard(&child);
	}
	return c;
}

struct vmm_client *vmm_client_adopt(uv_loop_t *loop, const char *control_path, pid_t pid, const char *id,
				    const struct vmm_events *events, void *owner, struct error *err)
{
	AUTO_FD int control_fd = -1;
	struct vmm_child child;
	struct vmm_client *c = NULL;

	if (!vmm_child_adopt(&child, pid, id)) {
		error_set(err, ESRCH, "its process %d is gone", (int)pid);
		return NULL;
	}
	control_fd = connect_to(control_path);
	if (control_fd < 0)
		error_set(err, -control_fd, "cannot connect to %s: %s", control_path, strerror(-control_fd));
	else if (!(c = create(loop, &child, &control_fd, events, owner)))
		error_set(err, ENOMEM, "out of memory");
	if (!c)
		vmm_child_close(&child);
	return c;
}

pid_t vmm_client_pid(const struct vmm_client *c)
{
	return c->child.pid;
}

static int send_order(struct vmm_client *c, enum vmm_message_type order, const int *fds, size_t n_fds)
{
	uint8_t packet[VMM_MESSAGE_HEADER_SIZE];
	struct bytes b = bytes_over(packet, sizeof(packet));
	struct iovec part = { packet, sizeof(packet) };
	alignas(struct cmsghdr) char ancillary[CMSG_SPACE(VMM_SNAPSHOT_FDS * sizeof(int))] = { 0 };
	struct msghdr message = { .msg_iov = &part, .msg_iovlen = 1 };

	c->sequence++;
	bytes_put_u16(&b, (uint16_t)order);
	bytes_put_u16(&b, 0);
	bytes_put_u32(&b, c->sequence);
	bytes_put_u64(&b, 0);
	if (n_fds) {
		struct cmsghdr *header = (struct cmsghdr *)ancillary;

		*header = (struct cmsghdr) {
			.cmsg_len = CMSG_LEN(n_fds * sizeof(int)),
			.cmsg_level = SOL_SOCKET,
			.cmsg_type = SCM_RIGHTS,
		};
		memcpy(CMSG_DATA(header), fds, n_fds * sizeof(int));
		message.msg_control = ancillary;
		message.msg_controllen = CMSG_SPACE(n_fds * sizeof(int));
	}
	c->pending[c->sequence % PENDING_MAX] = order;
	if (sendmsg(c->control_fd, &message, MSG_DONTWAIT | MSG_NOSIGNAL) < 0)
		return -errno;
	return 0;
}

int vmm_client_order(struct vmm_client *c, enum vmm_message_type order)
{
	return send_order(c, order, NULL, 0);
}

int vmm_client_order_snapshot(struct vmm_client *c, int state_fd, int memory_fd)
{
	const int fds[VMM_SNAPSHOT_FDS] = { state_fd, memory_fd };

	return send_order(c, VMM_SNAPSHOT, fds, VMM_SNAPSHOT_FDS);
}

/* What follows "NAME=" at the beginning of a word, or NULL. */
static const char *find_word(const char *text, const char *name)
{
	size_t n = strlen(name);

	for (const char *word = text; word; word = strchr(word, ' ')) {
		word += *word == ' ';
		if (strncmp(word, name, n) == 0 && word[n] == '=')
			return word + n + 1;
	}
	return NULL;
}

int64_t vmm_answer_number(const char *text, const char *name)
{
	const char *word = find_word(text, name);
	char *end;
	long long value;

	if (!word || *word < '0' || *word > '9')
		return -1;
	errno = 0;
	value = strtoll(word, &end, 10);
	return errno || (*end && *end != ' ') ? -1 : value;
}

bool vmm_answer_has(const char *text, const char *name, const char *value)
{
	const char *word = find_word(text, name);
	size_t n = strlen(value);

	return word && strncmp(word, value, n) == 0 && (word[n] == ' ' || word[n] == '\0');
}

void vmm_client_kill(struct vmm_client *c)
{
	vmm_child_kill(&c->child);
}

void vmm_client_close(struct vmm_client *c)
{
	if (!c || c->is_closed)
		return;
	c->is_closed = true;
	uv_close((uv_handle_t *)&c->control, on_closed);
	uv_close((uv_handle_t *)&c->exit, on_closed);
}
