/*
 * hearthd's end of the control socket. The VMM is this program, started anew with "--id": it takes orders from the
 * socket that it inherits, as hearth-vmm does, and answers them.
 */
#include "api/vmm_client.h"
#include "api/vmm_output.h"

#include "common/bytes.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#define ID "0123456789ab"

/* ---- the VMM ----------------------------------------------------------------------------------------------------- */

static void answer(int fd, uint16_t type, uint16_t status, uint32_t sequence, const char *text)
{
	uint8_t packet[VMM_MESSAGE_MAX];
	struct bytes b = bytes_over(packet, sizeof(packet));

	bytes_put_u16(&b, type);
	bytes_put_u16(&b, status);
	bytes_put_u32(&b, sequence);
	bytes_put_u64(&b, 1);
	bytes_put(&b, text, strlen(text));
	send(fd, packet, b.position, MSG_NOSIGNAL);
}

/* Writes a word into each file that comes with a snapshot. Returns how many came. */
static int fill_files(struct msghdr *message)
{
	struct cmsghdr *header = CMSG_FIRSTHDR(message);
	int fds[VMM_SNAPSHOT_FDS];

	if (!header || header->cmsg_len != CMSG_LEN(sizeof(fds)))
		return 0;
	memcpy(fds, CMSG_DATA(header), sizeof(fds));
	return write(fds[0], "state", 5) == 5 && write(fds[1], "memory", 6) == 6 ? VMM_SNAPSHOT_FDS : 0;
}

/* Orders of one connection, until it is closed. */
static void serve(int fd)
{
	for (;;) {
		uint8_t packet[VMM_MESSAGE_MAX];
		char ancillary[256];
		struct iovec part = { packet, sizeof(packet) };
		struct msghdr message = {
			.msg_iov = &part,
			.msg_iovlen = 1,
			.msg_control = ancillary,
			.msg_controllen = sizeof(ancillary),
		};
		ssize_t n = recvmsg(fd, &message, 0);
		struct bytes b = bytes_from(packet, n > 0 ? (size_t)n : 0);
		uint16_t type = bytes_get_u16(&b);
		uint32_t sequence;

		if (n <= 0)
			return;
		bytes_get_u16(&b);
		sequence = bytes_get_u32(&b);
		if (type == VMM_STOP) {
			answer(fd, VMM_ENDED, VMM_EXIT_DEVICE_BROKEN, 0, "told to");
			_exit(VMM_EXIT_DEVICE_BROKEN);
		}
		if (type == VMM_QUERY)
			answer(fd, VMM_ANSWER, 0, sequence, "state=paused connections=12 vcpus=1 faults=x");
		else if (type == VMM_SNAPSHOT)
			answer(fd, VMM_ANSWER, 0, sequence, fill_files(&message) == 2 ? "both" : "none");
		else
			answer(fd, VMM_ANSWER, EPERM, sequence, "not now");
	}
}

static int be_vmm(void)
{
	alarm(60);
	fcntl(VMM_CONTROL_FD, F_SETFL, 0); /* it comes non-blocking, and this VMM has nothing else to wait for */
	for (;;) {
		int fd = accept(VMM_CONTROL_FD, NULL, NULL);

		if (fd < 0)
			return 1;
		serve(fd);
		close(fd);
	}
}

/* One that was taken over: the first words are what it said before. Ends well although nobody reads. */
static int be_flooding_vmm(void)
{
	char piece[1000];

	signal(SIGPIPE, SIG_IGN);
	alarm(60);
	memset(piece, 'x', sizeof(piece));
	dprintf(STDERR_FILENO, "its first words\n");
	for (int i = 0; i < 10000; i++)
		if (write(STDERR_FILENO, piece, sizeof(piece)) < 0 && errno != EPIPE)
			return 1;
	return 0;
}

/* ---- the test ---------------------------------------------------------------------------------------------------- */

struct scene {
	uv_loop_t loop;
	struct vmm_client *client;
	char folder[64], path[80];
	enum vmm_message_type order;
	int status;
	char text[512];
	char exit_reason[640];
};

static void on_answered(void *owner, enum vmm_message_type order, int status, const char *text)
{
	struct scene *s = owner;

	s->order = order;
	s->status = status;
	snprintf(s->text, sizeof(s->text), "%s", text);
	uv_stop(&s->loop);
}

static void on_exited(void *owner, const char *reason)
{
	struct scene *s = owner;

	snprintf(s->exit_reason, sizeof(s->exit_reason), "%s", reason);
	vmm_client_close(s->client);
}

static const struct vmm_events events = { on_answered, on_exited };

static struct scene *begin_with(char *const arguments[])
{
	struct scene *s = calloc(1, sizeof(*s));
	struct error err = { 0 };

	snprintf(s->folder, sizeof(s->folder), "/tmp/test-vmm-XXXXXX");
	assert_non_null(mkdtemp(s->folder));
	snprintf(s->path, sizeof(s->path), "%s/control.sock", s->folder);
	uv_loop_init(&s->loop);
	s->client = vmm_client_spawn(&s->loop, s->path, arguments, -1, true, &events, s, &err);
	assert_non_null(s->client);
	return s;
}

static struct scene *begin(void)
{
	static char *const arguments[] = { "/proc/self/exe", "--id", ID, NULL };

	return begin_with(arguments);
}

static void end(struct scene *s)
{
	uv_run(&s->loop, UV_RUN_DEFAULT);
	assert_int_equal(uv_loop_close(&s->loop), 0);
	unlink(s->path);
	assert_int_equal(rmdir(s->folder), 0);
	free(s);
}

static void order(struct scene *s, enum vmm_message_type order)
{
	assert_int_equal(vmm_client_order(s->client, order), 0);
	uv_run(&s->loop, UV_RUN_DEFAULT);
	assert_int_equal(s->order, order);
}

static void orders_are_answered_and_an_end_is_told(void **state)
{
	struct scene *s = begin();

	(void)state;
	order(s, VMM_PAUSE);
	assert_int_equal(s->status, EPERM);
	assert_string_equal(s->text, "not now");
	order(s, VMM_QUERY);
	assert_int_equal(s->status, 0);
	assert_int_equal(vmm_client_order(s->client, VMM_STOP), 0);
	uv_run(&s->loop, UV_RUN_DEFAULT);
	assert_string_equal(s->exit_reason, "the guest broke a device's queue (told to)");
	end(s);
}

static void several_orders_may_wait(void **state)
{
	struct scene *s = begin();

	(void)state;
	assert_int_equal(vmm_client_order(s->client, VMM_PAUSE), 0);
	assert_int_equal(vmm_client_order(s->client, VMM_QUERY), 0);
	uv_run(&s->loop, UV_RUN_DEFAULT);
	assert_int_equal(s->order, VMM_PAUSE);
	uv_run(&s->loop, UV_RUN_DEFAULT);
	assert_int_equal(s->order, VMM_QUERY);
	vmm_client_kill(s->client);
	end(s);
}

static void a_snapshot_gets_its_files(void **state)
{
	struct scene *s = begin();
	char path[2][96], text[16] = "";
	int fds[2];

	(void)state;
	for (int i = 0; i < 2; i++) {
		snprintf(path[i], sizeof(path[i]), "%s/%d", s->folder, i);
		fds[i] = open(path[i], O_RDWR | O_CREAT, 0600);
		assert_true(fds[i] >= 0);
	}
	assert_int_equal(vmm_client_order_snapshot(s->client, fds[0], fds[1]), 0);
	uv_run(&s->loop, UV_RUN_DEFAULT);
	assert_string_equal(s->text, "both");
	assert_int_equal(pread(fds[0], text, sizeof(text), 0), 5);
	assert_memory_equal(text, "state", 5);
	assert_int_equal(pread(fds[1], text, sizeof(text), 0), 6);
	assert_memory_equal(text, "memory", 6);
	for (int i = 0; i < 2; i++) {
		close(fds[i]);
		unlink(path[i]);
	}
	vmm_client_kill(s->client);
	end(s);
}

static void a_vmm_that_is_killed_is_told(void **state)
{
	struct scene *s = begin();

	(void)state;
	vmm_client_kill(s->client);
	uv_run(&s->loop, UV_RUN_DEFAULT);
	assert_non_null(strstr(s->exit_reason, "killed by signal 9"));
	end(s);
}

static void a_vmm_is_taken_over(void **state)
{
	struct scene *s = begin();
	struct error err = { 0 };
	pid_t pid = vmm_client_pid(s->client);

	(void)state;
	order(s, VMM_QUERY);
	/* The first hearthd goes; the process stays. */
	vmm_client_close(s->client);
	uv_run(&s->loop, UV_RUN_DEFAULT);
	assert_int_equal(kill(pid, 0), 0);
	assert_null(vmm_client_adopt(&s->loop, s->path, pid, "other", &events, s, &err));
	assert_null(vmm_client_adopt(&s->loop, s->path, getpid(), ID, &events, s, &err));
	assert_null(vmm_client_adopt(&s->loop, s->path, -1, ID, &events, s, &err));
	s->client = vmm_client_adopt(&s->loop, s->path, pid, ID, &events, s, &err);
	assert_non_null(s->client);
	order(s, VMM_QUERY);
	assert_int_equal(vmm_client_order(s->client, VMM_STOP), 0);
	uv_run(&s->loop, UV_RUN_DEFAULT);
	assert_string_equal(s->exit_reason, "the guest broke a device's queue (told to)");
	waitpid(pid, NULL, 0);
	end(s);
}

static void what_cannot_be_started_is_told(void **state)
{
	static char *const arguments[] = { "/nonexistent/hearth-vmm", NULL };
	struct error err = { 0 };
	uv_loop_t loop;
	char path[64];

	(void)state;
	uv_loop_init(&loop);
	snprintf(path, sizeof(path), "/tmp/test-vmm-%d.sock", (int)getpid());
	assert_null(vmm_client_spawn(&loop, path, arguments, -1, true, &events, NULL, &err));
	assert_non_null(strstr(err.text, "/nonexistent/hearth-vmm"));
	unlink(path);
	assert_null(vmm_client_spawn(&loop, "/nonexistent/control.sock", arguments, -1, true, &events, NULL, &err));
	uv_run(&loop, UV_RUN_DEFAULT);
	assert_int_equal(uv_loop_close(&loop), 0);
}

static void a_flood_of_words_ends_and_harms_nobody(void **state)
{
	static char *const arguments[] = { "/proc/self/exe", "--id", "flood", NULL };
	FILE *log = tmpfile();
	int stderr_before = dup(STDERR_FILENO);
	char text[VMM_OUTPUT_MAX + 4096];
	struct scene *s;
	size_t n;

	(void)state;
	assert_non_null(log);
	dup2(fileno(log), STDERR_FILENO);
	s = begin_with(arguments);
	uv_run(&s->loop, UV_RUN_DEFAULT);
	dup2(stderr_before, STDERR_FILENO);
	close(stderr_before);
	assert_non_null(strstr(s->exit_reason, "stopped"));
	end(s);
	rewind(log);
	n = fread(text, 1, sizeof(text) - 1, log);
	text[n] = '\0';
	fclose(log);
	assert_in_range(n, VMM_OUTPUT_MAX - 8192, VMM_OUTPUT_MAX + 1024);
	assert_memory_equal(text, "its first words\n", 16);
	assert_non_null(strstr(text, "no more is taken of it"));
}

static void the_words_of_an_answer_are_found(void **state)
{
	static const char text[] = "state=paused connections=12 faults=x exits=3y n=99999999999999999999 last=7";

	(void)state;
	assert_int_equal(vmm_answer_number(text, "connections"), 12);
	assert_int_equal(vmm_answer_number(text, "last"), 7);
	assert_int_equal(vmm_answer_number(text, "faults"), -1);
	assert_int_equal(vmm_answer_number(text, "exits"), -1);
	assert_int_equal(vmm_answer_number(text, "n"), -1);
	assert_int_equal(vmm_answer_number(text, "nections"), -1);
	assert_int_equal(vmm_answer_number("", "last"), -1);
	assert_true(vmm_answer_has(text, "state", "paused"));
	assert_false(vmm_answer_has(text, "state", "pause"));
	assert_false(vmm_answer_has(text, "state", "running"));
	assert_false(vmm_answer_has(text, "tate", "paused"));
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(orders_are_answered_and_an_end_is_told),
		cmocka_unit_test(several_orders_may_wait),
		cmocka_unit_test(a_snapshot_gets_its_files),
		cmocka_unit_test(a_vmm_that_is_killed_is_told),
		cmocka_unit_test(a_vmm_is_taken_over),
		cmocka_unit_test(what_cannot_be_started_is_told),
		cmocka_unit_test(a_flood_of_words_ends_and_harms_nobody),
		cmocka_unit_test(the_words_of_an_answer_are_found),
	};

	if (argc > 2 && strcmp(argv[2], "flood") == 0)
		return be_flooding_vmm();
	if (argc > 1 && strcmp(argv[1], "--id") == 0)
		return be_vmm();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
