#include "vmm/control.h"

#include "common/bytes.h"
#include "common/log.h"
#include "vmm/vm.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

uint64_t control_clock_us(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

static void send_message(const struct control *control, enum vmm_message_type type, uint16_t status, uint32_t sequence,
			 const char *text)
{
	uint8_t packet[VMM_MESSAGE_MAX];
	struct bytes out = bytes_over(packet, sizeof(packet));
	size_t length = strlen(text);

	if (control->source.fd < 0)
		return;
	if (length > VMM_MESSAGE_MAX - VMM_MESSAGE_HEADER_SIZE)
		length = VMM_MESSAGE_MAX - VMM_MESSAGE_HEADER_SIZE;
	bytes_put_u16(&out, (uint16_t)type);
	bytes_put_u16(&out, status);
	bytes_put_u32(&out, sequence);
	bytes_put_u64(&out, control_clock_us() - control->start_us);
	bytes_put(&out, text, length);
	/* A reader that does not read is its own problem; one that is gone is found at the next receive. */
	if (send(control->source.fd, packet, out.position, MSG_DONTWAIT | MSG_NOSIGNAL) < 0 && errno != EPIPE)
		log_warn("cannot answer on the control socket: %s", strerror(errno));
}

/* Does what was ordered. *answer is a sentence for people, or empty. */
static int obey(struct control *control, uint16_t type, char *answer, size_t answer_size)
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

static void take_order(struct control *control, const uint8_t *packet, size_t size)
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
	status = obey(control, type, answer, sizeof(answer));
	send_message(control, VMM_ANSWER, (uint16_t)-status, sequence, answer);
}

static void socket_ready(void *opaque, uint32_t events)
{
	struct control *control = opaque;
	uint8_t packet[VMM_MESSAGE_MAX];
	ssize_t size = recv(control->source.fd, packet, sizeof(packet), MSG_DONTWAIT);

	(void)events;
	if (size > 0)
		take_order(control, packet, (size_t)size);
	else if (size == 0 || (errno != EAGAIN && errno != EINTR))
		vm_end(control->vm, VMM_EXIT_ORPHANED, "the control socket was closed by the other end");
}

int control_open(struct control *control, int fd, uint64_t start_us, struct error *err)
{
	int type = 0;
	socklen_t size = sizeof(type);

	*control = (struct control) { .start_us = start_us };
	control->source = (struct event_source) { .fd = -1, .ready = socket_ready, .opaque = control };
	if (fd < 0)
		return 0;
	if (getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &size) < 0 || type != SOCK_SEQPACKET)
		return error_set(err, EINVAL, "--control %d: not an inherited socket of type SOCK_SEQPACKET", fd);
	fcntl(fd, F_SETFD, FD_CLOEXEC);
	control->source.fd = fd;
	return 0;
}

int control_start(struct control *control, struct event_loop *loop, struct vm *vm)
{
	control->loop = loop;
	control->vm = vm;
	return control->source.fd < 0 ? 0 : event_loop_add(loop, &control->source, EPOLLIN);
}

void control_ended(const struct control *control, enum vmm_exit status, const char *why)
{
	send_message(control, VMM_ENDED, (uint16_t)status, 0, why);
}
