/*
 * Orders on the control socket, and the answers that hearthd reads. What the orders do is for the end-to-end
 * tests: the VM behind them says yes.
 */
#include "api/vmm_client.h"
#include "tests/fuzz/choices.h"
#include "tests/fuzz/fuzz.h"
#include "vmm/control.h"
#include "vmm/event_loop.h"
#include "vmm/vm.h"

#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

int vm_boot(struct vm *vm, struct error *err)
{
	(void)vm;
	return error_set(err, EALREADY, "it runs");
}

int vm_pause(struct vm *vm, struct error *err)
{
	(void)vm;
	(void)err;
	return 0;
}

int vm_resume(struct vm *vm, struct error *err)
{
	return vm_pause(vm, err);
}

int vm_snapshot(struct vm *vm, int state_fd, int memory_fd, struct error *err)
{
	FUZZ_CHECK(state_fd >= 0 && memory_fd >= 0);
	return vm_pause(vm, err);
}

void vm_count(struct vm *vm, struct vm_counts *counts)
{
	(void)vm;
	*counts = (struct vm_counts) { .is_booted = true, .memory_mib = UINT32_MAX, .n_exits = UINT64_MAX };
}

void vm_end(struct vm *vm, enum vmm_exit status, const char *why)
{
	(void)vm;
	FUZZ_CHECK(status == VMM_EXIT_STOPPED && why);
}

/* A listening socket of the abstract namespace, and a connection to it. */
static int listen_and_connect(int *client)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	socklen_t size = sizeof(address);
	int listener = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);

	*client = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	FUZZ_CHECK(bind(listener, (struct sockaddr *)&address, sizeof(address.sun_family)) == 0);
	FUZZ_CHECK(listen(listener, 1) == 0 && getsockname(listener, (struct sockaddr *)&address, &size) == 0);
	FUZZ_CHECK(connect(*client, (struct sockaddr *)&address, size) == 0);
	return listener;
}

static void send_order(int client, const uint8_t *packet, size_t size, bool with_descriptors)
{
	union {
		char bytes[CMSG_SPACE(3 * sizeof(int))];
		struct cmsghdr align;
	} ancillary = { 0 };
	const int fds[] = { client, client, client };
	struct iovec segment = { (void *)packet, size };
	struct msghdr message = { .msg_iov = &segment, .msg_iovlen = 1 };

	if (with_descriptors) {
		message.msg_control = &ancillary;
		message.msg_controllen = sizeof(ancillary);
		*CMSG_FIRSTHDR(&message) = (struct cmsghdr) { .cmsg_level = SOL_SOCKET,
							      .cmsg_type = SCM_RIGHTS,
							      .cmsg_len = CMSG_LEN(sizeof(fds)) };
		memcpy(CMSG_DATA(CMSG_FIRSTHDR(&message)), fds, sizeof(fds));
	}
	FUZZ_CHECK(sendmsg(client, &message, MSG_NOSIGNAL) == (ssize_t)size);
}

static void read_answer(int client)
{
	char answer[VMM_MESSAGE_MAX + 1];
	ssize_t size = recv(client, answer, VMM_MESSAGE_MAX, MSG_DONTWAIT);

	if (size <= 0)
		return;
	FUZZ_CHECK(size >= VMM_MESSAGE_HEADER_SIZE);
	answer[size] = '\0';
	FUZZ_CHECK(answer[0] == VMM_ANSWER && answer[1] == 0);
}

static void check_answers(const uint8_t *data, size_t size)
{
	char *text = strndup((const char *)data, size);

	if (text) {
		FUZZ_CHECK(vmm_answer_number(text, "exits") >= -1);
		vmm_answer_has(text, "state", "running");
	}
	free(text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct choices c = { data, size };
	struct control control;
	struct event_loop loop;
	struct error err = { 0 };
	int client, listener = listen_and_connect(&client);

	check_answers(data, size);
	FUZZ_CHECK(event_loop_open(&loop) == 0);
	FUZZ_CHECK(control_open(&control, listener, 60, 0, &err) == 0 && control_start(&control, &loop, NULL) == 0);
	event_loop_run_once(&loop, 0);
	while (!choices_are_over(&c)) {
		const bool with_descriptors = choose_below(&c, 2);
		size_t n;
		const uint8_t *packet = choose_bytes(&c, 1 + choose(&c, 1), &n);

		if (n > 0)
			send_order(client, packet, n, with_descriptors);
		event_loop_run_once(&loop, 0);
		read_answer(client);
	}
	close(client);
	close(control.connection.fd);
	close(control.orphan_timer.fd);
	close(listener);
	event_loop_close(&loop);
	return 0;
}
