/*
 * A 16550 UART that only sends: the guest's console. Its transmitter is always empty, so a byte costs the vCPU no wait.
 */
#ifndef HEARTH_VMM_SERIAL_H
#define HEARTH_VMM_SERIAL_H

#include "vmm/console.h"
#include "vmm/snapshot/state_file.h"

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

enum { SERIAL_WINDOW_SIZE = 8 };

struct serial {
	pthread_mutex_t lock;
	struct console *console;
	int interrupt_fd; /* eventfd */

	/* Registers by their names in the 16550's data sheet. */
	uint8_t ier, lcr, mcr, fcr, scr, dll, dlm;
	bool transmitter_interrupt; /* the transmitter became empty and nobody has looked yet */
	bool line_is_high;
};

void serial_init(struct serial *serial, struct console *console, int interrupt_fd);

/* A bus_access_fn. */
void serial_access(void *serial, uint64_t offset, uint8_t *data, unsigned length, bool is_write);

/* Its registers as a section, and back. */
void serial_save(struct serial *serial, struct state_writer *writer);
int serial_restore(struct serial *serial, struct state_reader *reader, struct error *err);

/* To be called once interrupts can be raised again. */
void serial_restored(const struct serial *serial);

#endif
