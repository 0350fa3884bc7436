/*
 * Ctrl-C ends an execution in order: the connection is closed (hearthd then interrupts the code), the session is ended,
 * and the exit status tells. A second Ctrl-C kills the command at once.
 */
#ifndef HEARTH_API_CLI_INTERRUPT_H
#define HEARTH_API_CLI_INTERRUPT_H

#include <stddef.h>

/* From now on SIGINT, SIGTERM and SIGHUP are noted instead of deadly, once each. 0 or -errno. */
int interrupt_catch(void);

/* The signal that came, or 0. */
int interrupt_signal(void);

/* Readable once a signal came. */
int interrupt_fd(void);

/* Writes all of it. 0, -EINTR if a signal came while it had to wait, or -errno. */
int write_unless_interrupted(int fd, const void *data, size_t size);

#endif
