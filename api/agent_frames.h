/*
 * The agent's byte stream taken apart into frames, and what their bodies say (agent_protocol.h). Pure logic: no
 * sockets. Whatever the agent sends is hostile.
 */
#ifndef HEARTH_API_AGENT_FRAMES_H
#define HEARTH_API_AGENT_FRAMES_H

#include "common/agent_protocol.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct agent_frames {
	uint8_t header[AGENT_HEADER_SIZE];
	size_t n_header; /* bytes of the header that are there */
	uint16_t type;   /* of the current frame, once the header is complete */
	uint64_t request;
	uint8_t *body; /* owned */
	size_t size;
	size_t n_body;
};

/*
 * Takes bytes from *data (and moves *data and *size on) until a frame is complete: then 1, and type, request, body and
 * size hold it until the next call. 0 if all bytes were taken and more are needed. -EPROTO for a header that breaks
 * the protocol: an unknown type, flags, or a body longer than its type can have. -ENOMEM.
 */
int agent_frames_feed(struct agent_frames *f, const uint8_t **data, size_t *size);
void agent_frames_fini(struct agent_frames *f);

struct agent_ready {
	uint64_t began_us;   /* since the guest kernel booted */
	uint64_t listens_us; /* likewise */
};

/* Body of AGENT_READY. -EPROTO; -EPROTONOSUPPORT if the agent speaks another version. */
int agent_ready_decode(struct agent_ready *ready, const void *body, size_t size);

enum {
	AGENT_SENTENCE_MAX = 1024, /* bytes of it that are kept */
};

struct agent_done {
	enum agent_outcome outcome;
	bool state_lost;
	uint8_t exit_status; /* of a command */
	uint64_t ran_us;
	uint64_t stdout_cut_bytes;
	uint64_t stderr_cut_bytes;
	char sentence[AGENT_SENTENCE_MAX + 1]; /* as the agent sent it: perhaps not UTF-8; ends at the first NUL */
};

/* Body of AGENT_DONE. -EPROTO. */
int agent_done_decode(struct agent_done *done, const void *body, size_t size);

/* Body of AGENT_SETTLED or AGENT_ADOPTED: what is wrong, "" if nothing is. Perhaps not UTF-8; ends at the first NUL. */
void agent_sentence_decode(char sentence[AGENT_SENTENCE_MAX + 1], const void *body, size_t size);

struct agent_file_info {
	enum agent_file_kind kind;
	uint64_t size;                      /* bytes */
	uint64_t changed_ns;                /* since 1970 */
	char path[AGENT_FILE_PATH_MAX + 1]; /* from the data folder; perhaps not UTF-8 */
};

/* Body of AGENT_FILE_INFO. -EPROTO. */
int agent_file_info_decode(struct agent_file_info *info, const void *body, size_t size);

/* Body of AGENT_FILE_DONE. -EPROTO. */
int agent_file_done_decode(enum agent_file_status *status, char sentence[AGENT_SENTENCE_MAX + 1], const void *body,
			   size_t size);

/* Body of AGENT_CONTAINER_STATE: the state and a sentence about it, as above. -EPROTO. */
int agent_container_state_decode(enum agent_container_state *state, char sentence[AGENT_SENTENCE_MAX + 1],
				 const void *body, size_t size);

/* How a container ended. */
struct agent_container_exit {
	uint32_t status; /* of its entrypoint */
	uint32_t signal; /* that ended it, or 0 */
	uint64_t ran_us;
	char sentence[AGENT_SENTENCE_MAX + 1]; /* as above */
};

/* Body of AGENT_CONTAINER_EXITED. -EPROTO. */
int agent_container_exit_decode(struct agent_container_exit *exit, const void *body, size_t size);

/* The header of a frame into `out`. */
void agent_header_encode(uint8_t out[AGENT_HEADER_SIZE], enum agent_frame_type type, uint64_t request, size_t size);

/* The body of AGENT_EXECUTE before the code, with the frame's header, into `out`. */
enum { AGENT_EXECUTE_PREFIX = 16 };
void agent_execute_encode(uint8_t out[AGENT_HEADER_SIZE + AGENT_EXECUTE_PREFIX], uint64_t request,
			  enum agent_language language, uint8_t flags, uint32_t timeout_ms, uint64_t output_limit,
			  size_t code_size);

/* What a guest is told after a restore. */
struct agent_adoption {
	uint64_t realtime_ns; /* CLOCK_REALTIME */
	enum agent_identity identity;
	uint8_t entropy[AGENT_ENTROPY_SIZE];
	char host_name[AGENT_HOST_NAME_MAX + 1];
};

enum {
	AGENT_ADOPT_PREFIX = 16 + AGENT_ENTROPY_SIZE, /* bytes of the body before the host name */
	AGENT_ADOPT_MAX = AGENT_HEADER_SIZE + AGENT_ADOPT_PREFIX + AGENT_HOST_NAME_MAX,
};

/* AGENT_OFFER_TOKENS into AGENT_HEADER_SIZE + AGENT_SECRET_SIZE bytes; the secret has that many characters. */
void agent_offer_tokens_encode(uint8_t *out, const char *secret);

/* The whole frame AGENT_ADOPT. Returns its size. */
size_t agent_adopt_encode(uint8_t out[AGENT_ADOPT_MAX], uint64_t request, const struct agent_adoption *adoption);

/* The whole frame AGENT_LIMIT. */
enum { AGENT_LIMIT_SIZE = AGENT_HEADER_SIZE + 16 };
void agent_limit_encode(uint8_t out[AGENT_LIMIT_SIZE], uint32_t n_processes, uint64_t disk_bytes);

/* A frame without a body. */
void agent_empty_encode(uint8_t out[AGENT_HEADER_SIZE], enum agent_frame_type type, uint64_t request);

#endif
