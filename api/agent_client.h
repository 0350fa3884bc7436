/*
 * The host's end of the agent protocol: connects through the VMM's vsock socket, sends executions, hears what they
 * write. What the agent says is checked here against the protocol and against what was asked for; the first violation
 * ends the connection. Knows frames, not sessions.
 */
#ifndef HEARTH_API_AGENT_CLIENT_H
#define HEARTH_API_AGENT_CLIENT_H

#include "api/agent_frames.h"
#include "api/mime_bundle.h"

#include <uv.h>

struct agent_client;

/* What one client reports; `owner` is what agent_client_connect() was given. None is called after agent_client_close(). */
struct agent_events {
	void (*connected)(void *owner);
	void (*started)(void *owner, uint64_t waited_us);
	void (*output)(void *owner, enum agent_frame_type stream, const uint8_t *data, size_t size);
	void (*display)(void *owner, const struct mime_bundle *bundle, bool is_result);
	void (*done)(void *owner, const struct agent_done *done);
	/* What a settle or an adopt came to: `problem` is "" if all is well; perhaps not UTF-8. */
	void (*settled)(void *owner, const char *problem);
	void (*adopted)(void *owner, const char *problem);
	/* The connection is over; the owner closes the client. `broke_protocol`: the agent is not to be trusted further. */
	void (*failed)(void *owner, const char *reason, bool broke_protocol);
};

struct agent_order {
	enum agent_language language;
	uint32_t timeout_ms;   /* 0: none */
	uint64_t output_limit; /* bytes of each of stdout and stderr */
	const char *code;      /* as agent_protocol.h has it for the language, at most AGENT_CODE_MAX bytes; copied */
	size_t code_size;
	uint8_t flags; /* enum agent_execute_flag */
};

/* Connects to the VMM's socket at `path` and through it to AGENT_PORT. NULL and -errno in *rc if that cannot begin. */
struct agent_client *agent_client_connect(uv_loop_t *loop, const char *path, const struct agent_events *events,
					  void *owner, int *rc);

/* Starts an execution; none may be running. Its events end with done() or failed(). 0 or -errno. */
int agent_client_execute(struct agent_client *c, const struct agent_order *order);

/* Prepares the guest for a snapshot; settled() follows. Nothing may be running. 0 or -errno. */
int agent_client_settle(struct agent_client *c);

/*
 * Tells a restored guest who it is, with the host's clock as it is now and fresh randomness; adopted() follows. Nothing
 * may be running. 0 or -errno.
 */
int agent_client_adopt(struct agent_client *c, enum agent_identity identity, const char *host_name);

/* Tells the guest that its code may ask for tokens, with that secret (AGENT_SECRET_SIZE characters). 0 or -errno. */
int agent_client_offer_tokens(struct agent_client *c, const char *secret);

/* Limits the guest, at any time; 0 leaves a limit as it is. It obeys before any later order. 0 or -errno. */
int agent_client_limit(struct agent_client *c, uint32_t n_processes, uint64_t disk_bytes);

/* Asks for the end of the running execution, if there is one; done() follows. */
void agent_client_interrupt(struct agent_client *c);

/* While paused nothing is read, so that the code blocks when it writes. */
void agent_client_pause(struct agent_client *c, bool paused);

/* Idempotent, NULL is fine; frees the client later. */
void agent_client_close(struct agent_client *c);

#endif
