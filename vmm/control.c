#include "vmm/control.h"

#include "common/bytes.h"
#include "common/log.h"
#include "vmm/vm.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

uint64_t control_clock_us(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

/* Its size. */
static size_t fill_packet(const struct control *control, uint8_t packet[VMM_MESSAGE_MAX], enum vmm_message_type type,
			  uint16_t status, uint32_t sequence, const char *text)
{
	struct bytes out = bytes_over(packet, VMM_MESSAGE_MAX);
	size_t length = strlen(text);

	if (length > VMM_MESSAGE_MAX - VMM_MESSAGE_HEADER_SIZE)
		length = VMM_MESSAGE_MAX - VMM_MESSAGE_HEADER_SIZE;
	bytes_put_u16(&out, (uint16_t)type);
	bytes_put_u16(&out, status);
	bytes_put_u32(&out, sequence);
	bytes_put_u64(&out, control_clock_us() - control->start_us);
	bytes_put(&out, text, length);
	return out.position;
}

static void send_message(const struct control *control, enum vmm_message_type type, uint16_t status, uint32_t sequence,
			 const char *text)
{
	uint8_t packet[VMM_MESSAGE_MAX];
	const size_t size = fill_packet(control, packet, type, status, sequence, text);

	if (control->connection.fd < 0)
		return;
	/* A reader that does not read is its own problem; one that is gone is found at the next receive. */
	if (send(control->connection.fd, packet, size, MSG_DONTWAIT | MSG_NOSIGNAL) < 0 && errno != EPIPE)
		log_warn("cannot answer on the control socket: %s", strerror(errno));
}

static void describe(const struct control *control, char *text, size_t size)
{
	struct vm_counts counts;

	vm_count(control->vm, &counts);
	snprintf(text, size,
		 "state=%s connections=%u vcpus=%u memory_mib=%u ioctls=%llu exits=%llu faults=%llu ready_us=%llu",
		 counts.is_running  ? "running"
		 : counts.is_booted ? "paused"
				    : "prepared",
		 counts.n_connections, counts.n_vcpus, counts.memory_mib, (unsigned long long)counts.n_kvm_calls,
		 (unsigned long long)counts.n_exits, (unsigned long long)counts.n_faults,
		 (unsigned long long)control->ready_us);
}

/* Does what was ordered. *answer is a sentence for people, or empty. */
static int obey(struct control *control, uint16_t type, const int fds[VMM_SNAPSHOT_FDS], char *answer,
		size_t answer_size)
{
	struct error err = { 0 };
	const uint64_t start_us = control_clock_us();
	int status;

	switch (type) {
	case VMM_BOOT:
		status = vm_boot(control->vm, &err);
		break;
	case VMM_PAUSE:
		status = vm_pause(control->vm, &err);
		break;
	case VMM_RESUME:
		status = vm_resume(control->vm, &err);
		break;
	case VMM_SNAPSHOT:
		if (fds[0] < 0 || fds[1] < 0)
			status = error_set(&err, EBADF, "a snapshot needs two descriptors: state file and memory file");
		else
			status = vm_snapshot(control->vm, fds[0], fds[1], &err);
		break;
	case VMM_QUERY:
		describe(control, answer, answer_size);
		return 0;
	default:
		status = error_set(&err, EOPNOTSUPP, "there is no order %u", type);
		break;
	}
	if (status < 0)
		snprintf(answer, answer_size, "%s", err.text);
	else
		snprintf(answer, answer_size, "done in %llu us", (unsigned long long)(control_clock_us() - start_us));
	return status;
}

static void close_all(int fds[VMM_SNAPSHOT_FDS])
{
	for (int i = 0; i < VMM_SNAPSHOT_FDS; i++) {
		if (fds[i] >= 0)
			close(fds[i]);
		fds[i] = -1;
	}
}

static void take_order(struct control *control, const uint8_t *packet, size_t size, int fds[VMM_SNAPSHOT_FDS])
{
	struct bytes in = bytes_from(packet, size);
	uint16_t type = bytes_get_u16(&in);
	uint32_t sequence;
	char answer[512];
	int status;

	bytes_get_u16(&in);
	sequence = bytes_get_u32(&in);
	bytes_get_u64(&in);
	if (in.failed) {
		send_message(control, VMM_ANSWER, EBADMSG, 0, "the order is shorter than a header");
		return;
	}
	if (type == VMM_STOP) { /* answered by VMM_ENDED */
		vm_end(control->vm, VMM_EXIT_STOPPED, "stopped by order");
		return;
	}
	status = obey(control, type, fds, answer, sizeof(answer));
	close_all(fds); /* before the answer: then hearthd sees to it that nobody can write a snapshot any more */
	send_message(control, VMM_ANSWER, (uint16_t)-status, sequence, answer);
}

/* One packet with the descriptors that came with it, which are the caller's to close; -1 where there are none. */
static ssize_t receive(int fd, uint8_t packet[VMM_MESSAGE_MAX], int fds[VMM_SNAPSHOT_FDS])
{
	union {
		char bytes[CMSG_SPACE(VMM_SNAPSHOT_FDS * sizeof(int))];
		struct cmsghdr align;
	} ancillary;
	struct iovec segment = { packet, VMM_MESSAGE_MAX };
	struct msghdr message = {
		.msg_iov = &segment,
		.msg_iovlen = 1,
		.msg_control = &ancillary,
		.msg_controllen = sizeof(ancillary),
	};
	const ssize_t size = recvmsg(fd, &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);

	for (int i = 0; i < VMM_SNAPSHOT_FDS; i++)
		fds[i] = -1;
	if (size < 0)
		return -errno;
	for (struct cmsghdr *c = CMSG_FIRSTHDR(&message); c; c = CMSG_NXTHDR(&message, c)) {
		size_t n = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);

		if (c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_RIGHTS)
			memcpy(fds, CMSG_DATA(c), (n < VMM_SNAPSHOT_FDS ? n : VMM_SNAPSHOT_FDS) * sizeof(int));
	}
	return size;
}

/* ---- who gives orders -------------------------------------------------------------------------------------------- */

/* Nobody does: waits for the next, but not for ever. */
static int await_connection(struct control *control)
{
	const struct itimerspec timer = { .it_value.tv_sec = control->orphan_timeout_s };

	if (timerfd_settime(control->orphan_timer.fd, 0, &timer, NULL) < 0)
		return -errno;
	return event_loop_add(control->loop, &control->listener, EPOLLIN);
}

static void connection_ready(void *opaque, uint32_t events)
{
	struct control *control = opaque;
	uint8_t packet[VMM_MESSAGE_MAX];
	int fds[VMM_SNAPSHOT_FDS];
	ssize_t size;

	(void)events;
	if (control->connection.fd < 0)
		return;
	size = receive(control->connection.fd, packet, fds);
	if (size > 0)
		take_order(control, packet, (size_t)size, fds);
	close_all(fds);
	if (size > 0 || size == -EAGAIN || size == -EINTR)
		return;
	event_loop_remove(control->loop, &control->connection);
	close(control->connection.fd);
	control->connection.fd = -1;
	if (await_connection(control) < 0)
		vm_end(control->vm, VMM_EXIT_ORPHANED, "the control socket was closed and cannot be watched again");
}

static void accept_connection(struct control *control)
{
	int fd = accept4(control->listener.fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);

	if (fd >= 0)
		control->connection = (struct event_source) { .fd = fd, .ready = connection_ready, .opaque = control };
}

static void listener_ready(void *opaque, uint32_t events)
{
	static const struct itimerspec never = { 0 };
	struct control *control = opaque;

	(void)events;
	if (control->connection.fd >= 0)
		return;
	accept_connection(control);
	if (control->connection.fd < 0)
		return;
	timerfd_settime(control->orphan_timer.fd, 0, &never, NULL);
	event_loop_remove(control->loop, &control->listener);
	if (event_loop_add(control->loop, &control->connection, EPOLLIN) < 0)
		vm_end(control->vm, VMM_EXIT_ORPHANED, "the control socket cannot be watched");
}

static void orphan_timer_ready(void *opaque, uint32_t events)
{
	struct control *control = opaque;

	(void)events;
	eventfd_consume(control->orphan_timer.fd); /* a timerfd reads like an eventfd */
	if (control->connection.fd < 0)
		vm_end(control->vm, VMM_EXIT_ORPHANED, "nobody has held the control socket for the time allowed");
}

int control_open(struct control *control, int fd, int orphan_timeout_s, uint64_t start_us, struct error *err)
{
	int type = 0, listens = 0;
	socklen_t size = sizeof(type), listens_size = sizeof(listens);

	*control = (struct control) { .start_us = start_us, .orphan_timeout_s = orphan_timeout_s };
	control->listener = (struct event_source) { .fd = -1, .ready = listener_ready, .opaque = control };
	control->orphan_timer = (struct event_source) { .fd = -1, .ready = orphan_timer_ready, .opaque = control };
	control->connection.fd = -1;
	if (fd < 0)
		return 0;
	if (getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &size) < 0 || type != SOCK_SEQPACKET ||
	    getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listens, &listens_size) < 0 || !listens)
		return error_set(err, EINVAL, "--control %d: not an inherited, listening socket of type SOCK_SEQPACKET",
				 fd);
	fcntl(fd, F_SETFD, FD_CLOEXEC);
	fcntl(fd, F_SETFL, O_NONBLOCK);
	control->listener.fd = fd;
	control->orphan_timer.fd = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
	if (control->orphan_timer.fd < 0)
		return error_set(err, errno, "cannot make a timer: %s", strerror(errno));
	return 0;
}

int control_start(struct control *control, struct event_loop *loop, struct vm *vm)
{
	int status;

	control->loop = loop;
	control->vm = vm;
	control->ready_us = control_clock_us() - control->start_us;
	if (control->listener.fd < 0)
		return 0;
	status = event_loop_add(loop, &control->orphan_timer, EPOLLIN);
	return status < 0 ? status : await_connection(control);
}

void control_report_violation(const struct control *control, const char *sentence)
{
	uint8_t packet[VMM_MESSAGE_MAX];
	const size_t size = fill_packet(control, packet, VMM_ENDED, VMM_EXIT_FORBIDDEN_CALL, 0, sentence);

	/* Not send(): a vCPU's thread may not. If nobody listens, the log has the sentence. */
	if (control->connection.fd >= 0 && write(control->connection.fd, packet, size) < 0)
		return;
}

void control_ended(struct control *control, enum vmm_exit status, const char *why)
{
	uint8_t unread[VMM_MESSAGE_MAX];

	if (control->listener.fd >= 0 && control->connection.fd < 0)
		accept_connection(control);
	/* An order that nobody took would make the kernel tell the other end of a reset before it tells what is sent. */
	while (control->connection.fd >= 0 && recv(control->connection.fd, unread, sizeof(unread), MSG_DONTWAIT) > 0)
		;
	send_message(control, VMM_ENDED, (uint16_t)status, 0, why);
}
