#include "sse.h"

#include <stdio.h>
#include <string.h>

void sse_parser_init(struct sse_parser *p, size_t limit, sse_event_fn *on_event, void *context)
{
	*p = (struct sse_parser) {
		.on_event = on_event,
		.context = context,
		.line = { .limit = limit },
		.data = { .limit = limit },
	};
}

void sse_parser_fini(struct sse_parser *p)
{
	buffer_fini(&p->line);
	buffer_fini(&p->data);
}

static int dispatch(struct sse_parser *p)
{
	int ret = 0;

	if (p->has_data)
		ret = p->on_event(p->context, p->type[0] ? p->type : "message", p->data.data, p->data.size);
	p->type[0] = '\0';
	p->has_data = false;
	buffer_clear(&p->data);
	return ret;
}

static int add_data(struct sse_parser *p, const char *value, size_t size)
{
	int ret = p->has_data ? buffer_append(&p->data, "\n", 1) : 0;

	p->has_data = true;
	return ret < 0 ? ret : buffer_append(&p->data, value, size);
}

static int take_field(struct sse_parser *p, const char *line, size_t size)
{
	const char *colon = memchr(line, ':', size);
	size_t name_size = colon ? (size_t)(colon - line) : size;
	const char *value = colon ? colon + 1 : line + size;
	size_t value_size = (size_t)(line + size - value);

	if (value_size && value[0] == ' ') {
		value++;
		value_size--;
	}
	if (name_size == 4 && memcmp(line, "data", 4) == 0)
		return add_data(p, value, value_size);
	if (name_size == 5 && memcmp(line, "event", 5) == 0)
		snprintf(p->type, sizeof(p->type), "%.*s", (int)(value_size < 256 ? value_size : 256), value);
	/* A comment is a line whose field name is empty; `id` and `retry` say nothing to a client that never reconnects. */
	return 0;
}

static int end_line(struct sse_parser *p)
{
	static const char byte_order_mark[] = "\xef\xbb\xbf";
	const char *line = p->line.size ? p->line.data : "";
	size_t size = p->line.size;
	int ret;

	if (!p->after_start && size >= 3 && memcmp(line, byte_order_mark, 3) == 0) {
		line += 3;
		size -= 3;
	}
	p->after_start = true;
	ret = size ? take_field(p, line, size) : dispatch(p);
	buffer_clear(&p->line);
	return ret;
}

int sse_parser_feed(struct sse_parser *p, const void *bytes, size_t size)
{
	const char *at = bytes;
	const char *end = at + size;

	while (at < end) {
		const char *stop = at;
		int ret;

		if (p->after_cr && *at == '\n') {
			p->after_cr = false;
			at++;
			continue;
		}
		p->after_cr = false;
		while (stop < end && *stop != '\n' && *stop != '\r')
			stop++;
		ret = buffer_append(&p->line, at, (size_t)(stop - at));
		if (ret < 0)
			return ret;
		if (stop == end)
			return 0;
		p->after_cr = *stop == '\r';
		ret = end_line(p);
		if (ret != 0)
			return ret;
		at = stop + 1;
	}
	return 0;
}
