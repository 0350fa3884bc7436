/*
 * Directories of microVMs under the runtime directory: <runtime>/<vm-id>/ with the vsock socket and the console log.
 * One hearthd owns a runtime directory at a time, by a lock on <runtime>/lock that the kernel releases with the
 * process; directories that a killed one left are removed at the next start.
 */
#ifndef HEARTH_API_MICROVM_DIRECTORY_H
#define HEARTH_API_MICROVM_DIRECTORY_H

#include "common/error.h"

#include <stddef.h>

struct microvm_directory {
	char path[80];       /* "" if there is none */
	char vsock[108 - 8]; /* sun_path has 108 bytes, and "_1025" follows for the guest's connections */
	char console[112];
};

/*
 * Makes the runtime directory (mode 0700) if need be, takes its lock and removes what a dead hearthd left in it.
 * Returns the lock's descriptor, to be kept until exit, or negative with *err filled.
 */
int runtime_directory_open(const char *path, struct error *err);

/* Removes the lock file and, if it is empty, the directory; closes the lock. */
void runtime_directory_close(const char *path, int lock_fd);

/* Makes a directory under an id that is free, and writes the id (12 hexadecimal digits and NUL). */
int microvm_directory_create(struct microvm_directory *d, const char *runtime, char id[13], struct error *err);

/* Removes it with what is in it; nothing if there is none. */
void microvm_directory_remove(struct microvm_directory *d);

/* Writes the last lines of the guest's console to the log, for people who wonder why it died. */
void microvm_directory_log_console(const struct microvm_directory *d, const char *id);

#endif
