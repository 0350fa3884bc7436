/*
 * One POST of the Model Context Protocol, from its body to its answer: the messages that it has, one after the other, and
 * what is answered to them. A message that takes long makes the answer a stream of Server-Sent Events, if the client
 * takes one, so that nothing on the way believes the connection dead.
 */
#ifndef HEARTH_API_MCP_EXCHANGE_H
#define HEARTH_API_MCP_EXCHANGE_H

#include "api/json_rpc.h"
#include "api/rest.h"

enum {
	MCP_SESSION_ID_SIZE = 129, /* with its NUL */
	MCP_BATCH_MAX = 50,        /* messages of one body */
};

struct mcp_exchange {
	struct service *service;
	struct http_request *http;            /* NULL once it was answered, or its client went */
	char pool[POOL_NAME_SIZE];            /* which may be gone when a message is answered */
	char session_id[MCP_SESSION_ID_SIZE]; /* of the protocol, as the client says; "": none */

	/* the message that is being answered: what goes on for it, and how that is ended when the client goes */
	const json_t *id;
	void *call;
	void (*gone)(void *call);

	/* its own */
	struct mcp_exchange *following; /* in service->mcp_exchanges */
	json_t *body;
	size_t next; /* of the body's messages */
	bool is_batch;
	bool is_waiting; /* for the answer to a message */
	bool is_looping;
	bool is_stream;
	bool takes_stream;
	unsigned int status;
	struct buffer out;
	uv_timer_t keep_alive;
};

/* Takes the request over, and the body: an object, or an array that is a batch. Answers it in any case. */
void mcp_exchange_start(struct service *s, struct pool *pool, struct http_request *r, json_t *body,
			const char *session_id);

/* Each answers the message. Result and data are JSON; the result is taken over. It may be answered from anywhere. */
void mcp_reply(struct mcp_exchange *x, struct buffer *result);
void mcp_reply_error(struct mcp_exchange *x, enum json_rpc_code code, const char *message, const char *data);

/*
 * Ends what goes on for the request of that id in the same session of the protocol, and answers it with an error. Nothing
 * happens if there is none, or no session that tells one client's ids from another's.
 */
void mcp_exchange_cancel(const struct mcp_exchange *x, const json_t *id);

/* What takes a notification: in mcp_methods.c, too. */
void mcp_notice(struct mcp_exchange *x, const struct json_rpc_message *message);

/* What answers a request: in mcp_methods.c. It calls one of the two above, now or later. */
void mcp_handle(struct mcp_exchange *x, const struct json_rpc_message *message);

#endif
