/*
 * Where the guest's console text goes: a file of bounded size, written by the event loop. A vCPU only puts bytes into a
 * small ring and never waits; what does not fit is dropped and counted. Remembers why the kernel says it panicked.
 */
#ifndef HEARTH_VMM_CONSOLE_H
#define HEARTH_VMM_CONSOLE_H

#include "common/error.h"
#include "vmm/event_loop.h"

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

enum {
	CONSOLE_RING_SIZE = 16 << 10,
	CONSOLE_FILE_MAX = 1 << 20, /* bytes; then the log ends with a note */
	CONSOLE_LINE_MAX = 160,
};

struct console {
	pthread_mutex_t lock; /* guards what is below up to the lines */
	uint8_t ring[CONSOLE_RING_SIZE];
	uint32_t n_put, n_taken; /* bytes; run free */
	uint64_t n_dropped;
	char line[CONSOLE_LINE_MAX];
	uint32_t line_length;
	char panic_line[CONSOLE_LINE_MAX];

	struct event_source source; /* eventfd: the ring has bytes */
	struct event_loop *loop;
	int fd; /* -1: the text is dropped */
	bool owns_fd;
	uint64_t n_written;
	uint64_t limit; /* bytes of text that go to the file */
};

/*
 * Writes to `path`, made anew, or to stdout if it is "-", or nowhere if it is NULL. `loop` must outlive it. Returns 0, or
 * negative with *err set.
 */
int console_open(struct console *console, const char *path, struct event_loop *loop, struct error *err);

/* Writes what is left and closes. */
void console_close(struct console *console);

/* One byte from the guest; any thread. */
void console_put(struct console *console, uint8_t byte);

/* The last line with a kernel's panic message, or "" if there was none. `line` has CONSOLE_LINE_MAX bytes. */
void console_panic_line(struct console *console, char *line);

#endif
