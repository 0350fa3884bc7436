/* The pipe from a VMM to hearthd's log, beside others that libuv watches. */
#include "api/vmm_output.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <fcntl.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void on_readable(uv_poll_t *poll, int status, int events)
{
	(void)events;
	*(bool *)poll->data = status == 0;
	uv_poll_stop(poll);
}

/* Whether a pipe made now is watched still after `o` has been closed. */
static bool next_pipe_is_heard(uv_loop_t *loop, struct vmm_output *o)
{
	bool is_heard = false;
	uv_poll_t poll;
	int ends[2];

	assert_int_equal(pipe2(ends, O_CLOEXEC | O_NONBLOCK), 0);
	assert_int_equal(uv_poll_init(loop, &poll, ends[0]), 0);
	poll.data = &is_heard;
	uv_poll_start(&poll, UV_READABLE, on_readable);
	uv_run(loop, UV_RUN_NOWAIT);
	vmm_output_close(o);
	assert_int_equal(write(ends[1], "x", 1), 1);
	uv_run(loop, UV_RUN_NOWAIT);
	uv_run(loop, UV_RUN_NOWAIT);
	uv_close((uv_handle_t *)&poll, NULL);
	uv_run(loop, UV_RUN_DEFAULT);
	close(ends[0]);
	close(ends[1]);
	return is_heard;
}

/* The pipe's number, once closed, is the next one's: it is the lowest that is free. */
static void check_neighbour(const char *text, size_t size)
{
	uv_loop_t loop;
	struct vmm_output *o;
	int fd;

	assert_int_equal(uv_loop_init(&loop), 0);
	o = vmm_output_open(&loop, &fd);
	assert_non_null(o);
	for (size_t sent = 0; sent < size; uv_run(&loop, UV_RUN_NOWAIT)) {
		ssize_t n = write(fd, text, size - sent < 4096 ? size - sent : 4096);

		assert_true(n > 0);
		sent += (size_t)n;
	}
	close(fd);
	for (int i = 0; i < 3; i++)
		uv_run(&loop, UV_RUN_NOWAIT);
	assert_true(next_pipe_is_heard(&loop, o));
	assert_int_equal(uv_loop_close(&loop), 0);
}

static void test_the_end_of_a_process_takes_nobody_out_of_the_loop(void **state)
{
	(void)state;
	check_neighbour("", 0);
}

static void test_too_much_takes_nobody_out_of_the_loop(void **state)
{
	static char text[4096];
	const int log = dup(STDERR_FILENO), nowhere = open("/dev/null", O_WRONLY | O_CLOEXEC);

	(void)state;
	dup2(nowhere, STDERR_FILENO);
	memset(text, '\n', sizeof(text));
	check_neighbour(text, VMM_OUTPUT_MAX + 1);
	dup2(log, STDERR_FILENO);
	close(nowhere);
	close(log);
}

static void test_closed_while_open(void **state)
{
	uv_loop_t loop;
	struct vmm_output *o;
	int fd;

	(void)state;
	assert_int_equal(uv_loop_init(&loop), 0);
	o = vmm_output_open(&loop, &fd);
	assert_non_null(o);
	assert_int_equal(write(fd, "\n", 1), 1);
	vmm_output_close(o);
	assert_true(next_pipe_is_heard(&loop, NULL));
	close(fd);
	assert_int_equal(uv_loop_close(&loop), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_the_end_of_a_process_takes_nobody_out_of_the_loop),
		cmocka_unit_test(test_too_much_takes_nobody_out_of_the_loop),
		cmocka_unit_test(test_closed_while_open),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
