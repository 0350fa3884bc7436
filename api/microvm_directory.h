/*
 * Directories of microVMs under the runtime directory: <runtime>/<vm-id>/ with the sockets, the console log, and what a
 * later hearthd needs to take the microVM over. One hearthd owns a runtime directory at a time, by a lock on
 * <runtime>/lock that the kernel releases with the process.
 */
#ifndef HEARTH_API_MICROVM_DIRECTORY_H
#define HEARTH_API_MICROVM_DIRECTORY_H

#include "common/error.h"

#include <stddef.h>
#include <sys/types.h>

struct microvm_directory {
	char path[80];       /* "" if there is none */
	char sockets[88];    /* holds the sockets of the vsock and nothing else: all that its VMM sees in its jail */
	char vsock[108 - 8]; /* sun_path has 108 bytes, and "_1025" follows for the guest's connections */
	char console[112];
	char control[108]; /* the VMM's control socket */
	char pid[112];     /* a file that holds the VMM's process ID */
	char session[112]; /* the session that it belongs to: session_record.h */
	char network_policy[112], network_log[112], network_pid[112]; /* its hearth-netd's: network.h */
};

enum { MICROVM_SOCKET_SIZE = 108 }; /* of a socket's path with its NUL */

/*
 * Makes the runtime directory (mode 0700) if need be and takes its lock. Returns the lock's descriptor, to be kept until
 * exit, or negative with *err filled.
 */
int runtime_directory_open(const char *path, struct error *err);

/* Calls `visit` with the directory of each microVM that is there. */
void runtime_directory_each(const char *path,
			    void (*visit)(void *data, const char *id, const struct microvm_directory *d), void *data);

/* Removes the lock file and, if it is empty, the directory; closes the lock. */
void runtime_directory_close(const char *path, int lock_fd);

/*
 * Makes a directory under an id that is free, and writes the id (12 hexadecimal digits and NUL). Its last four digits are
 * its alone among those that are there: microvm_directory_number().
 */
int microvm_directory_create(struct microvm_directory *d, const char *runtime, char id[13], struct error *err);

/* A number below 65536 that no other microVM of the runtime directory has while this one is there. */
unsigned int microvm_directory_number(const char id[13]);

/* The path of the socket to which the VMM connects for a guest that connects to this port of the host. */
void microvm_directory_host_port(const struct microvm_directory *d, int port, char path[MICROVM_SOCKET_SIZE]);

/* Writes a process ID into the file `pid` or `network_pid`. 0 or -errno; reads it, or -errno. */
int pid_file_write(const char *path, pid_t pid);
pid_t pid_file_read(const char *path);

/* Removes it with what is in it; nothing if there is none. */
void microvm_directory_remove(struct microvm_directory *d);

/* Writes the last lines of the guest's console to the log, for people who wonder why it died. */
void microvm_directory_log_console(const struct microvm_directory *d, const char *id);

#endif
