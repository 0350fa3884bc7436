/*
 * The network of one microVM, as hearthd sees it: its hearth-netd (common/network_protocol.h), which decides and logs. Starts
 * it, passes on what it logs, notices its end, and sees to it that it goes with its VMM.
 *
 * Its log comes through a FIFO in the microVM's directory. hearth-netd has it open for reading, too: what is written while
 * no hearthd reads waits there for the next one, up to what a FIFO holds.
 */
#ifndef HEARTH_API_NETWORK_H
#define HEARTH_API_NETWORK_H

#include "api/microvm_directory.h"
#include "api/vmm_cgroups.h"
#include "common/error.h"

#include <stdbool.h>
#include <uv.h>

struct network;

struct network_start {
	const char *netd;                          /* path of hearth-netd */
	const struct microvm_directory *directory; /* the microVM's, where three files are made */
	const char *id;                            /* the microVM's */
	const char *policy;                        /* text */
	const char *jail;                          /* full, partial or off */
	unsigned int user;                         /* to run as; 0: hearthd's */
	const struct vmm_cgroup_entrances *cgroups;
};

/*
 * Starts hearth-netd. *vmm_fd is the end of the socket for hearth-vmm, the caller's to close; when all copies of it are
 * closed, hearth-netd ends. NULL on failure, with *err filled.
 */
struct network *network_spawn(uv_loop_t *loop, const struct network_start *start, int *vmm_fd, struct error *err);

/* Makes the two ends of such a socket, close-on-exec, with numbers above those that children get them as. 0 or -errno. */
int network_make_socket(int ends[2]);

/* Takes over what an earlier hearthd started. NULL if there is none, or with *err filled if it cannot be taken over. */
struct network *network_adopt(uv_loop_t *loop, const struct microvm_directory *d, const char *id, struct error *err);

/* Whose connections are logged from now on. NULL is fine. */
void network_name_session(struct network *n, const char *session, const char *pool);

/* Its VMM has ended: waits until it has, too, kills it if that takes long, frees it, and calls `gone`, later. */
void network_end(struct network *n, void (*gone)(void *data), void *data);

/* Lets go of it, later: it runs on. NULL is fine. */
void network_leave(struct network *n);

/* Whether there is what EgressEnabled needs on this machine; `lacks` says what to do if not. */
bool network_is_possible(const char *netd, char *lacks, size_t size);

#endif
