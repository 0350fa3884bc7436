/*
 * The files of the session's data folder, for the host: list, stat, read, write, delete. One operation at a time on a
 * connection. Nothing outside of the folder is reached, whatever links and names the user's code has planted: each path
 * is resolved by the kernel beneath the folder (openat2).
 */
#ifndef HEARTH_AGENT_FILES_H
#define HEARTH_AGENT_FILES_H

#include "execution.h"

#include <sys/types.h>

enum file_transfer_state {
	FILE_TRANSFER_NONE,
	FILE_TRANSFER_READING,
	FILE_TRANSFER_WRITING,
	FILE_TRANSFER_REFUSED, /* a write that failed: what the host still sends of it is dropped */
};

/* An operation under way: embedded in a connection, all zero at first. */
struct file_transfer {
	enum file_transfer_state state;
	uint64_t request;
	int fd;        /* the file; one that is written has no name yet */
	int folder;    /* where a written one goes */
	char *path;    /* relative to the data folder; owned */
	uint64_t left; /* bytes that are still to be read, or that may still be written */
};

/* Opens the data folder. What is written belongs to `uid` and `gid`; (uid_t)-1: to this process's user. 0 or -errno. */
int files_open(const char *folder, uid_t uid, gid_t gid);

/* True for the types of frames that files_take() takes. */
bool files_is_about(uint16_t type);

/* Does what the frame says, or begins to; the frame stays the caller's. False if the host broke the protocol. */
bool files_take(struct file_transfer *transfer, struct execution_host *host, const struct frame *frame);

/* True while there is something to send as soon as the host takes it. */
bool files_has_more(const struct file_transfer *transfer);

/* The host takes more: sends one piece, if there is any. */
void files_go_on(struct file_transfer *transfer, struct execution_host *host);

/* The host is gone: what it had not committed is gone, too. */
void files_abandon(struct file_transfer *transfer);

#endif
