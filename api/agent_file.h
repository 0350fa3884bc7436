/*
 * One operation on the files of a guest, over a connection of its own to the agent. What the agent says is checked here;
 * the first violation ends the operation. Knows frames, neither sessions nor HTTP.
 */
#ifndef HEARTH_API_AGENT_FILE_H
#define HEARTH_API_AGENT_FILE_H

#include "api/agent_frames.h"

#include <stdbool.h>
#include <uv.h>

struct agent_file;

/* None is called after agent_file_close(), nor from within another function of this file. */
struct agent_file_events {
	/* An entry, or the file itself, whose size is that of all of it. */
	void (*info)(void *owner, const struct agent_file_info *info);
	void (*data)(void *owner, const uint8_t *data, size_t size);
	/* A write: there is room for more. Also called once when the first bytes may be written. */
	void (*drained)(void *owner);
	/* How it ended; the last event. `sentence` is perhaps not UTF-8. */
	void (*done)(void *owner, enum agent_file_status status, const char *sentence);
	/* The connection broke, or the agent broke the protocol; the last event. */
	void (*failed)(void *owner, const char *reason, bool broke_protocol);
};

struct agent_file_order {
	enum agent_frame_type type; /* AGENT_FILE_LIST, STAT, READ, WRITE or DELETE */
	const char *path;           /* at most AGENT_FILE_PATH_MAX bytes; copied */
	bool is_recursive;          /* of a list */
	uint64_t size_max;          /* of a write: bytes */
	bool is_part;               /* of a read: what follows holds, else all of the file is read */
	uint64_t offset;            /* of the first byte, or AGENT_FILE_FROM_END */
	uint64_t length;            /* bytes, or AGENT_FILE_TO_END; what is beyond the file's end is left out */
};

/* Begins. `path` is the VMM's vsock socket. NULL and -errno in *rc if that cannot be. */
struct agent_file *agent_file_begin(uv_loop_t *loop, const char *path, const struct agent_file_order *order,
				    const struct agent_file_events *events, void *owner, int *rc);

/* Writes the next bytes (copied). Returns how many were taken; where fewer than given, drained() follows. */
size_t agent_file_write(struct agent_file *f, const void *data, size_t size);

/* That was all: the file gets its name, then done() comes. */
void agent_file_commit(struct agent_file *f);

/* While paused nothing is read. */
void agent_file_pause(struct agent_file *f, bool paused);

/* Idempotent, NULL is fine; frees it later. A write that is not done leaves nothing. */
void agent_file_close(struct agent_file *f);

#endif
