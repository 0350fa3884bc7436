#include "api/event_stream.h"

#include <stdio.h>
#include <string.h>

enum {
	BACKLOG_MAX = 64 << 10, /* bytes that wait for the client, above which it needs no sign of life */
};

bool event_stream_is_wanted(const struct http_request *r)
{
	const char *accept = http_request_header(r, "Accept");

	return accept && strcasestr(accept, "text/event-stream");
}

void event_stream_begin(struct http_request *r, unsigned int status)
{
	http_stream_begin_live(r, status, "text/event-stream; charset=utf-8");
}

void event_stream_send(struct http_request *r, const char *name, const struct buffer *json)
{
	char line[48];
	int length = snprintf(line, sizeof(line), "event: %s\ndata: ", name);

	http_stream_write(r, line, (size_t)length);
	http_stream_write(r, json->data, json->size);
	http_stream_write(r, "\n\n", 2);
}

void event_stream_keep_alive(struct http_request *r)
{
	static const char comment[] = ": keep-alive\n\n";

	if (http_stream_backlog(r) < BACKLOG_MAX)
		http_stream_write(r, comment, sizeof(comment) - 1);
}
