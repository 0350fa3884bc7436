/* The end of what a container wrote: pieces of its stdout and stderr in their order, the oldest dropped first. */
#ifndef HEARTH_API_CONTAINER_LOG_H
#define HEARTH_API_CONTAINER_LOG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
	CONTAINER_LOG_MAX = 64 << 10, /* bytes that are kept */
};

/* Zeroed is empty. */
struct container_log {
	uint8_t *data; /* pieces, each behind a header */
	size_t size;
	uint64_t first;       /* the position of the first piece: how many bytes of pieces were forgotten before */
	uint64_t n_forgotten; /* bytes of output in those */
	uint64_t n_dropped;   /* bytes of output that never were here */
};

/* What does not find memory is dropped. */
void container_log_append(struct container_log *log, bool is_stderr, const void *data, size_t size);
void container_log_note_dropped(struct container_log *log, uint64_t n_bytes);

struct container_log_piece {
	bool is_stderr;
	const char *text; /* as it was written; valid until the log changes */
	size_t size;
};

/* Where somebody stands who reads a log from its oldest piece on. Zeroed at the beginning. */
struct container_log_reader {
	uint64_t position;
	uint64_t n_passed; /* bytes of output up to there */
	uint64_t n_missed; /* of these, what was forgotten before it was read */
};

/* The next piece. False if there is none (yet). */
bool container_log_next(const struct container_log *log, struct container_log_reader *reader,
			struct container_log_piece *piece);

/* Bytes of output that the reader has not seen and never will. */
uint64_t container_log_missed(const struct container_log *log, const struct container_log_reader *reader);

/* Copies the last bytes of all pieces, at most `size`, from the beginning of a line if that leaves any. How many. */
size_t container_log_tail(const struct container_log *log, char *text, size_t size);

enum {
	CONTAINER_REASON_SIZE = 1536, /* with NUL */
};

/* Writes the reason why something came to nothing, and the last words of the log (NULL: none), quoted; both may be cut. */
void container_log_explain(const struct container_log *log, const char *reason, char text[CONTAINER_REASON_SIZE]);

void container_log_fini(struct container_log *log);

#endif
