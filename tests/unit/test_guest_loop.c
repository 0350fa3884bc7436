/* The agent's event loop: timers in their order, sources that vanish while events are delivered. */
#include "guest-agent/loop.h"
#include "guest-agent/process.h"

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <signal.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

static char order[16];

static void on_first(struct loop_timer *timer)
{
	(void)timer;
	strcat(order, "1");
}

static void on_second(struct loop_timer *timer)
{
	(void)timer;
	strcat(order, "2");
}

static struct loop_timer first = { .on_expiry = on_first };
static struct loop_timer second = { .on_expiry = on_second };

static void on_stopper(struct loop_timer *timer)
{
	(void)timer;
	strcat(order, "s");
	loop_timer_stop(&first);
	loop_timer_start(&second, 0);
}

static int set_up(void **state)
{
	(void)state;
	order[0] = '\0';
	return 0;
}

static void turn_until(size_t length)
{
	while (strlen(order) < length)
		assert_int_equal(loop_turn(), 0);
}

static void timers_expire_in_the_order_of_their_time(void **state)
{
	(void)state;
	loop_timer_start(&second, 20000);
	loop_timer_start(&first, 5000);
	turn_until(2);
	assert_string_equal(order, "12");
}

static void restarted_timer_expires_once(void **state)
{
	(void)state;
	loop_timer_start(&first, 1000);
	loop_timer_start(&first, 2000);
	loop_timer_start(&second, 10000);
	turn_until(2);
	assert_string_equal(order, "12");
	assert_true(first.due_us == 0);
}

static void expiry_may_stop_and_start_others(void **state)
{
	struct loop_timer stopper = { .on_expiry = on_stopper };

	(void)state;
	loop_timer_start(&first, 0);
	loop_timer_start(&stopper, 0); /* the newest is looked at first */
	turn_until(2);
	assert_string_equal(order, "s2");
}

struct watched {
	struct loop_source source;
	struct watched *other;
};

static void on_events(struct loop_source *source, uint32_t events)
{
	struct watched *watched = (struct watched *)(void *)source;

	(void)events;
	strcat(order, "e");
	loop_unwatch(&watched->other->source);
	loop_unwatch(source);
}

static void source_unwatched_by_another_gets_no_event_of_the_same_turn(void **state)
{
	struct watched a = { .source.on_events = on_events }, b = { .source.on_events = on_events };
	int pipes[2][2];

	(void)state;
	a.other = &b;
	b.other = &a;
	assert_int_equal(pipe(pipes[0]) + pipe(pipes[1]), 0);
	a.source.fd = pipes[0][0];
	b.source.fd = pipes[1][0];
	assert_int_equal(loop_watch(&a.source, EPOLLIN), 0);
	assert_int_equal(loop_watch(&b.source, EPOLLIN), 0);
	assert_int_equal(write(pipes[0][1], "x", 1) + write(pipes[1][1], "x", 1), 2);
	assert_int_equal(loop_turn(), 0);
	assert_string_equal(order, "e");
	for (int i = 0; i < 4; i++)
		close(pipes[i / 2][i % 2]);
}

static void source_that_is_watched_for_nothing_gets_no_event(void **state)
{
	struct watched a = { .source.on_events = on_events };
	int fds[2];

	(void)state;
	a.other = &a;
	assert_int_equal(pipe(fds), 0);
	a.source.fd = fds[0];
	assert_int_equal(loop_watch(&a.source, EPOLLIN), 0);
	assert_int_equal(loop_watch(&a.source, 0), 0);
	close(fds[1]); /* not even that the other end is gone */
	loop_timer_start(&first, 3000);
	turn_until(1);
	assert_string_equal(order, "1");
	close(fds[0]);
}

static void the_end_of_a_process_is_told_in_words_and_as_a_status(void **state)
{
	char text[64];

	(void)state;
	process_describe_end(W_EXITCODE(7, 0), text, sizeof(text));
	assert_string_equal(text, "exited with status 7");
	process_describe_end(W_EXITCODE(0, SIGSEGV), text, sizeof(text));
	assert_string_equal(text, "was killed by signal 11 (SIGSEGV)");
	process_describe_end(W_EXITCODE(0, 40), text, sizeof(text));
	assert_string_equal(text, "was killed by signal 40");
	assert_int_equal(process_exit_status(W_EXITCODE(7, 0)), 7);
	assert_int_equal(process_exit_status(W_EXITCODE(0, SIGSEGV)), 139);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(timers_expire_in_the_order_of_their_time, set_up),
		cmocka_unit_test_setup(restarted_timer_expires_once, set_up),
		cmocka_unit_test_setup(expiry_may_stop_and_start_others, set_up),
		cmocka_unit_test_setup(source_unwatched_by_another_gets_no_event_of_the_same_turn, set_up),
		cmocka_unit_test_setup(source_that_is_watched_for_nothing_gets_no_event, set_up),
		cmocka_unit_test(the_end_of_a_process_is_told_in_words_and_as_a_status),
	};

	if (loop_open() < 0)
		return 1;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
