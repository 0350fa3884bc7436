/*
 * Server-sent events (WHATWG HTML, 9.2.6), as they come from the network: in pieces that may end anywhere.
 */
#ifndef HEARTH_API_CLI_SSE_H
#define HEARTH_API_CLI_SSE_H

#include "buffer.h"

#include <stdbool.h>
#include <stddef.h>

/* `data` is followed by a NUL byte, and both texts live until it returns. Not 0 ends the parsing with that value. */
typedef int sse_event_fn(void *context, const char *type, const char *data, size_t size);

struct sse_parser {
	sse_event_fn *on_event;
	void *context;
	struct buffer line;
	struct buffer data;
	char type[64];    /* of the event that is being read; "" means "message" */
	bool has_data;    /* a data line was seen, perhaps an empty one */
	bool after_cr;    /* the last byte was CR: an LF now belongs to it */
	bool after_start; /* the first line, which may begin with a byte order mark, is over */
};

/* `limit` is the most bytes that one event's data, or one line, may have. */
void sse_parser_init(struct sse_parser *p, size_t limit, sse_event_fn *on_event, void *context);

void sse_parser_fini(struct sse_parser *p);

/*
 * Takes the next bytes of the stream and calls on_event for each event that they complete. 0, -EMSGSIZE if the limit
 * was passed, -ENOMEM, or what on_event returned; after a value other than 0 it must not be called again.
 */
int sse_parser_feed(struct sse_parser *p, const void *bytes, size_t size);

#endif
