/*
 * What hearthd writes down of a session, so that a later hearthd can go on with it: a small text file, `key=value` a
 * line, in the directory of its microVM or of the snapshot that it is suspended to.
 *
 * The file's time of change is the end of the session's last execution; 0 while one runs.
 */
#ifndef HEARTH_API_SESSION_RECORD_H
#define HEARTH_API_SESSION_RECORD_H

#include "api/session.h"
#include "api/snapshot.h"
#include "common/error.h"

struct session_record {
	char identifier[SESSION_IDENTIFIER_MAX + 1];
	char guid[GUID_SIZE];
	char pool[POOL_NAME_SIZE];
	int64_t created_ms; /* CLOCK_REALTIME */
	bool was_used;
	struct microvm_shape shape;
	char snapshot[SNAPSHOT_PATH_MAX]; /* folder that its microVM was restored from; "" if it was booted */
	int64_t snapshot_inode;           /* of the memory that was there then; 0 where nothing tells */
	int64_t snapshot_changed_ns;
	int64_t last_end_ms; /* the file's time; read only */
	bool was_busy;       /* likewise */
};

/* Writes the file at once as a whole. 0 or -errno. */
int session_record_write(const struct session_record *r, const char *path);

/* 0, or negative with *err filled: the file is not there, or not what this version writes. */
int session_record_read(struct session_record *r, const char *path, struct error *err);

/* Sets the file's time: an execution begins, or is over. */
void session_record_touch(const char *path, bool is_busy);

#endif
