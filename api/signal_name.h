/* Signals as images name them. */
#ifndef HEARTH_API_SIGNAL_NAME_H
#define HEARTH_API_SIGNAL_NAME_H

/*
 * The number of "SIGTERM", "TERM", "15" or "SIGRTMIN+3", in any case; 0 if it is none. Those of real time count as the
 * kernel does, from 34 to 64, as Docker and systemd have them, whatever a C library keeps for itself.
 */
int signal_from_name(const char *name);

#endif
