/* The UART against any access of any width, and its state against any bytes. */
#include "tests/fuzz/choices.h"
#include "tests/fuzz/fuzz.h"
#include "vmm/console.h"
#include "vmm/serial.h"

#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct choices c = { data, size };
	static struct console console;
	static struct serial serial;
	struct event_loop loop;
	struct error err = { 0 };
	int interrupt_fd = eventfd(0, EFD_NONBLOCK);

	FUZZ_CHECK(event_loop_open(&loop) == 0 && console_open(&console, NULL, &loop, &err) == 0);
	serial_init(&serial, &console, interrupt_fd);
	while (!choices_are_over(&c)) {
		const bool is_write = choose_below(&c, 2);
		const unsigned length = 1U << choose_below(&c, 4);
		uint64_t offset = choose_below(&c, SERIAL_WINDOW_SIZE), value = choose(&c, 8);

		serial_access(&serial, offset, (uint8_t *)&value, length, is_write);
		event_loop_run_once(&loop, 0);
	}
	console_close(&console);
	event_loop_close(&loop);
	close(interrupt_fd);
	return 0;
}
