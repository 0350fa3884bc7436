/*
 * A request about a file, from its order to its answer: a use of the session, an operation of its agent, and the HTTP
 * request that waits for it. A client that goes ends it; a transfer in which nothing moves for long is ended. The answer is
 * that of the REST API, unless somebody else gives another.
 */
#ifndef HEARTH_API_FILE_CALL_H
#define HEARTH_API_FILE_CALL_H

#include "api/agent_file.h"
#include "api/file_answer.h"
#include "api/file_path.h"
#include "api/rest.h"

struct file_call;

/* Who answers instead. After failed() or done() the call ends by itself, and none is called any more. */
struct file_call_answer {
	/* `message` is a sentence for the client, valid during the call */
	void (*failed)(struct file_call *c, const char *message);
	/* Of a download: its size, then its bytes. Either may end the call. */
	void (*begun)(struct file_call *c, uint64_t size);
	void (*data)(struct file_call *c, const uint8_t *data, size_t size);
	/* All went well: c->entries has what was told. */
	void (*done)(struct file_call *c);
};

struct file_call {
	struct session_use use;
	struct service *service;
	struct http_request *http; /* NULL once it was answered, or its client went */
	struct agent_file *agent;
	struct microvm *microvm; /* the session's, while `agent` is there */
	struct agent_file_order order;
	char path[FILE_PATH_SIZE];
	enum file_family family;
	struct file_entries entries;
	uv_timer_t stall;
	bool is_streaming; /* the answer has begun */
	bool is_closing;

	const struct file_call_answer *answer; /* NULL: it answers c->http itself */

	/* of an upload; NULL otherwise */
	void (*drained)(struct file_call *c); /* file_call_write() takes more */
	void (*destroy)(struct file_call *c); /* frees what is around it; without, it is freed itself */
};

/* Bytes of the largest file that may be written in that pool. */
uint64_t file_call_size_max(const struct service *s, const struct pool *pool);

/*
 * Fills in what is zero at first in memory that calloc() made. From now on it ends by itself, or by file_call_end(). The
 * request's events are the call's, unless c->answer was set before: then whoever owns the request ends the call with it.
 */
void file_call_init(struct file_call *c, struct service *s, struct http_request *r, enum file_family family);

/*
 * Begins with the order c->order, whose path is c->path, in the session of that identifier, which is made if there is
 * none. Everything that follows, errors included, is answered by itself.
 */
void file_call_begin(struct file_call *c, struct pool *pool, const char *identifier);

/* A whole call that is no upload. */
void file_call_start(struct service *s, struct pool *pool, struct http_request *r, const char *identifier,
		     enum file_family family, const struct agent_file_order *order);

/* Of an upload: as agent_file_write() and agent_file_commit(). */
size_t file_call_write(struct file_call *c, const void *data, size_t size);
void file_call_commit(struct file_call *c);

/* Ends it without an answer of its own: the request was answered, or nobody waits for one. Freed later. */
void file_call_end(struct file_call *c);

#endif
