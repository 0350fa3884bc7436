/*
 * Frames of common/agent_protocol.h on a stream: a reader that puts them together, and an outbox that keeps what the
 * peer has not taken yet. Both work on non-blocking descriptors.
 */
#ifndef HEARTH_AGENT_FRAME_H
#define HEARTH_AGENT_FRAME_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A whole frame in one allocation, header included, as it stands on the wire. */
struct frame {
	struct frame *next; /* in an outbox */
	uint64_t request;
	uint32_t length; /* of the body */
	uint16_t type;
	uint8_t *wire; /* AGENT_HEADER_SIZE + length bytes, within this allocation */
};

/* A frame with an uninitialised body. NULL if there is no memory. The caller owns it. */
struct frame *frame_create(uint16_t type, uint64_t request, uint32_t length);

/* A frame whose body is a text, its NUL left out. NULL if there is no memory. The caller owns it. */
struct frame *frame_create_text(uint16_t type, uint64_t request, const char *text);

void frame_destroy(struct frame *frame);
uint8_t *frame_body(const struct frame *frame);

/* Rewrites the header for another request. */
void frame_set_request(struct frame *frame, uint64_t request);

/* Shortens the body. `length` is not above the present one. */
void frame_truncate(struct frame *frame, uint32_t length);

struct frame_reader {
	uint8_t header[16];
	size_t received;     /* bytes of the present frame, header included */
	size_t capacity;     /* bytes that `frame` has room for, header included */
	struct frame *frame; /* NULL until the header is whole */
};

/*
 * Reads until a frame is whole or fd has no more. Returns 1 with *frame (the caller's from then on), 0 if more has to
 * arrive, -EPIPE at the end of the stream, -EPROTO for a header that makes no sense, or another -errno.
 * Memory is taken as bytes arrive, not as the header promises.
 */
int frame_reader_next(struct frame_reader *reader, int fd, struct frame **frame);

/* Forgets a half-read frame. */
void frame_reader_fini(struct frame_reader *reader);

struct outbox {
	struct frame *first;
	struct frame **last; /* where the next one is linked */
	size_t sent;         /* bytes of `first` that are gone */
	size_t bytes;        /* all that waits */
};

void outbox_init(struct outbox *outbox);

/* Drops what waits. The outbox may be used again. */
void outbox_fini(struct outbox *outbox);

/* Takes the frame over; NULL is ignored. */
void outbox_push(struct outbox *outbox, struct frame *frame);

/* Sends as much as the socket takes. 0 or -errno; -EAGAIN is not an error but leaves bytes > 0. */
int outbox_flush(struct outbox *outbox, int fd);

#endif
