/* An answer as Server-Sent Events: its headers, and events whose data is one line of JSON. */
#ifndef HEARTH_API_EVENT_STREAM_H
#define HEARTH_API_EVENT_STREAM_H

#include "api/http_request.h"

enum {
	EVENT_STREAM_KEEP_ALIVE_MS = 15000,
};

/* True if the client has asked for events. */
bool event_stream_is_wanted(const struct http_request *r);

/* Begins the answer. Headers of the caller's own are added before. */
void event_stream_begin(struct http_request *r, unsigned int status);

/* `json` has no line feed, since in strings it is escaped and nowhere else written. */
void event_stream_send(struct http_request *r, const char *name, const struct buffer *json);

/* A comment, so that nobody on the way takes the connection for dead. A client that does not read gets no heap of them. */
void event_stream_keep_alive(struct http_request *r);

#endif
