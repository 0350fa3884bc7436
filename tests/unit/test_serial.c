#include "vmm/console.h"
#include "vmm/serial.h"

#include <fcntl.h>
#include <linux/serial_reg.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>
#include <cmocka.h>

struct fixture {
	struct event_loop loop;
	struct console console;
	struct serial serial;
	char path[32];
	int interrupt_fd;
};

static int setup(void **state)
{
	static struct fixture f;
	struct error err = { 0 };

	memset(&f, 0, sizeof(f));
	snprintf(f.path, sizeof(f.path), "/tmp/console-XXXXXX");
	close(mkstemp(f.path));
	f.interrupt_fd = eventfd(0, EFD_NONBLOCK);
	assert_int_equal(event_loop_open(&f.loop), 0);
	assert_int_equal(console_open(&f.console, f.path, &f.loop, &err), 0);
	serial_init(&f.serial, &f.console, f.interrupt_fd);
	*state = &f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	console_close(&f->console);
	event_loop_close(&f->loop);
	close(f->interrupt_fd);
	unlink(f->path);
	return 0;
}

static void put(struct fixture *f, uint64_t offset, uint8_t value)
{
	serial_access(&f->serial, offset, &value, 1, true);
}

static uint8_t get(struct fixture *f, uint64_t offset)
{
	uint8_t value = 0xff;

	serial_access(&f->serial, offset, &value, 1, false);
	return value;
}

static void print(struct fixture *f, const char *text)
{
	while (*text)
		put(f, UART_TX, (uint8_t)*text++);
}

static bool was_interrupted(struct fixture *f)
{
	uint64_t count;

	return read(f->interrupt_fd, &count, sizeof(count)) == sizeof(count);
}

static size_t log_size(struct fixture *f, char *text, size_t size)
{
	int fd = open(f->path, O_RDONLY);
	ssize_t got = read(fd, text, size - 1);

	close(fd);
	assert_true(got >= 0);
	text[got] = '\0';
	return (size_t)got;
}

static void text_reaches_the_log(void **state)
{
	struct fixture *f = *state;
	char text[64];

	print(f, "hello\n");
	event_loop_run_once(&f->loop, 0);
	log_size(f, text, sizeof(text));
	assert_string_equal(text, "hello\n");
	print(f, "last words");
	console_close(&f->console);
	log_size(f, text, sizeof(text));
	assert_string_equal(text, "hello\nlast words");
}

static void the_log_is_cut_with_a_note(void **state)
{
	struct fixture *f = *state;
	char text[256];

	f->console.limit = 10;
	for (int i = 0; i < 100; i++) {
		print(f, "abcdef");
		event_loop_run_once(&f->loop, 0);
	}
	log_size(f, text, sizeof(text));
	assert_string_equal(text, "abcdefabcd\n[hearth-vmm: the console log is cut here, after 10 bytes]\n");
}

static void what_comes_too_fast_is_dropped_and_counted(void **state)
{
	struct fixture *f = *state;
	static char text[2 * CONSOLE_RING_SIZE];

	for (int i = 0; i < CONSOLE_RING_SIZE + 5; i++)
		put(f, UART_TX, 'x');
	console_close(&f->console);
	assert_true(log_size(f, text, sizeof(text)) > CONSOLE_RING_SIZE);
	assert_non_null(strstr(text, "5 bytes came too fast"));
}

static void a_panic_message_is_remembered(void **state)
{
	struct fixture *f = *state;
	char line[CONSOLE_LINE_MAX];

	console_panic_line(&f->console, line);
	assert_string_equal(line, "");
	print(f, "[1] Kernel panic - not syncing: oh\r\n[2] trace\n");
	console_panic_line(&f->console, line);
	assert_string_equal(line, "[1] Kernel panic - not syncing: oh");
}

static void endless_lines_do_not_overflow(void **state)
{
	struct fixture *f = *state;
	char line[CONSOLE_LINE_MAX];

	print(f, "Kernel panic ");
	for (int i = 0; i < 10000; i++)
		put(f, UART_TX, i % 3 ? 'x' : 0);
	put(f, UART_TX, '\n');
	console_panic_line(&f->console, line);
	assert_int_equal(strlen(line), CONSOLE_LINE_MAX - 1);
}

static void the_transmitter_is_always_empty(void **state)
{
	struct fixture *f = *state;

	put(f, UART_TX, 'x');
	assert_int_equal(get(f, UART_LSR), UART_LSR_THRE | UART_LSR_TEMT);
}

static void registers_behind_the_divisor_latch_are_apart(void **state)
{
	struct fixture *f = *state;

	put(f, UART_IER, 0xff);
	assert_int_equal(get(f, UART_IER), 0x0f);
	put(f, UART_LCR, UART_LCR_DLAB);
	put(f, UART_DLL, 0x34);
	put(f, UART_DLM, 0x12);
	assert_int_equal(get(f, UART_DLL), 0x34);
	assert_int_equal(get(f, UART_DLM), 0x12);
	put(f, UART_LCR, 0);
	assert_int_equal(get(f, UART_IER), 0x0f);
	put(f, UART_SCR, 0xa5);
	assert_int_equal(get(f, UART_SCR), 0xa5);
}

static void loopback_shows_a_driver_that_there_is_a_uart(void **state)
{
	struct fixture *f = *state;

	put(f, UART_MCR, UART_MCR_LOOP | UART_MCR_OUT2 | UART_MCR_RTS);
	assert_int_equal(get(f, UART_MSR), UART_MSR_DCD | UART_MSR_CTS);
	put(f, UART_MCR, 0);
	assert_int_equal(get(f, UART_MSR), UART_MSR_DCD | UART_MSR_DSR | UART_MSR_CTS);
}

static void each_sent_byte_raises_the_interrupt_again(void **state)
{
	struct fixture *f = *state;

	put(f, UART_TX, 'a');
	assert_false(was_interrupted(f)); /* nobody asked */
	put(f, UART_IER, UART_IER_THRI);
	assert_true(was_interrupted(f));
	assert_int_equal(get(f, UART_IIR) & 0x0f, UART_IIR_THRI);
	assert_int_equal(get(f, UART_IIR) & 0x0f, UART_IIR_NO_INT); /* reading it acknowledged it */
	put(f, UART_TX, 'b');
	assert_true(was_interrupted(f));
	put(f, UART_IER, 0);
	assert_int_equal(get(f, UART_IIR) & 0x0f, UART_IIR_NO_INT);
	assert_false(was_interrupted(f));
}

static void wide_accesses_are_ignored(void **state)
{
	struct fixture *f = *state;
	uint8_t data[4] = { 'a', 'b', 'c', 'd' };
	char text[8];

	serial_access(&f->serial, UART_TX, data, 4, true);
	serial_access(&f->serial, UART_LSR, data, 4, false);
	event_loop_run_once(&f->loop, 0);
	assert_int_equal(log_size(f, text, sizeof(text)), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
		TEST(text_reaches_the_log),
		TEST(the_log_is_cut_with_a_note),
		TEST(what_comes_too_fast_is_dropped_and_counted),
		TEST(a_panic_message_is_remembered),
		TEST(endless_lines_do_not_overflow),
		TEST(the_transmitter_is_always_empty),
		TEST(registers_behind_the_divisor_latch_are_apart),
		TEST(loopback_shows_a_driver_that_there_is_a_uart),
		TEST(each_sent_byte_raises_the_interrupt_again),
		TEST(wide_accesses_are_ignored),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
