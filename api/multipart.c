#include "api/multipart.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

enum state {
	STATE_BEGIN,
	STATE_FIRST_LINE,      /* "--" and the boundary */
	STATE_PREAMBLE,        /* what comes before the first delimiter */
	STATE_AFTER_DELIMITER, /* "--", or a new line, perhaps after white space */
	STATE_HEADERS,
	STATE_CONTENT,
	STATE_OVER,
	STATE_INVALID,
};

static enum multipart_event refuse(struct multipart *m, const char *problem)
{
	m->state = STATE_INVALID;
	m->problem = problem;
	return MULTIPART_INVALID;
}

/* The boundary that a Content-Type names, quoted or not; its delimiter stays empty if there is none. */
static void read_boundary(struct multipart *m, const char *content_type)
{
	const char *value = content_type ? strcasestr(content_type, "boundary=") : NULL;
	size_t length;

	if (!value)
		return;
	value += strlen("boundary=");
	if (*value == '"')
		length = strcspn(++value, "\"");
	else
		length = strcspn(value, "; \t");
	if (length && length <= MULTIPART_BOUNDARY_MAX)
		m->delimiter_size =
			(size_t)snprintf(m->delimiter, sizeof(m->delimiter), "\r\n--%.*s", (int)length, value);
}

void multipart_init(struct multipart *m, const char *content_type)
{
	memset(m, 0, sizeof(*m));
	m->state = STATE_BEGIN;
	read_boundary(m, content_type);
}

bool multipart_is_over(const struct multipart *m)
{
	return m->state == STATE_OVER;
}

static char take(const char **data, size_t *size)
{
	(*size)--;
	return *(*data)++;
}

/* ---- delimiters -------------------------------------------------------------------------------------------------- */

/* A delimiter begins with CR LF; at the body's start there is none before it. */
static enum multipart_event begin(struct multipart *m, const char **data)
{
	if (**data == '-') {
		m->state = STATE_FIRST_LINE;
		m->delimiter_size = (size_t)snprintf(m->delimiter, sizeof(m->delimiter), "\r\n");
	} else if (m->delimiter_size) {
		m->state = STATE_PREAMBLE;
	} else {
		return refuse(m, "it does not begin with a boundary, and its Content-Type names none");
	}
	return MULTIPART_MORE;
}

static enum multipart_event take_first_line(struct multipart *m, const char **data, size_t *size)
{
	char c = take(data, size);

	if (c == '\n') {
		/* White space may follow a boundary, and a CR does. */
		while (m->delimiter_size > 2 && strchr(" \t\r", m->delimiter[m->delimiter_size - 1]))
			m->delimiter_size--;
		m->delimiter[m->delimiter_size] = '\0';
		if (m->delimiter_size < 5 || m->delimiter[3] != '-' || strchr(m->delimiter + 2, '\r'))
			return refuse(m, "it does not begin with a boundary");
		m->state = STATE_HEADERS;
	} else if (m->delimiter_size + 1 == sizeof(m->delimiter) || c == '\0') {
		return refuse(m, "its boundary is too long");
	} else {
		m->delimiter[m->delimiter_size++] = c;
	}
	return MULTIPART_MORE;
}

static enum multipart_event take_after_delimiter(struct multipart *m, const char **data, size_t *size)
{
	char c = take(data, size);

	if (m->n_tail == 0 && c == '-') {
		m->tail[m->n_tail++] = c;
	} else if (m->n_tail == 1) {
		if (c != '-')
			return refuse(m, "something follows a boundary");
		m->state = STATE_OVER;
		return MULTIPART_END;
	} else if (c == '\n') {
		m->state = STATE_HEADERS;
	} else if (c != ' ' && c != '\t' && c != '\r') {
		return refuse(m, "something follows a boundary");
	}
	return MULTIPART_MORE;
}

/* ---- headers ----------------------------------------------------------------------------------------------------- */

/* True if the last line is empty. */
static bool headers_end(const struct multipart *m)
{
	const char *end = m->headers + m->n_headers;

	return (m->n_headers == 1 || (m->n_headers == 2 && m->headers[0] == '\r')) ||
	       (m->n_headers >= 2 && end[-2] == '\n') || (m->n_headers >= 3 && end[-2] == '\r' && end[-3] == '\n');
}

static enum multipart_event take_header(struct multipart *m, const char **data, size_t *size)
{
	char c = take(data, size);

	if (m->n_headers == MULTIPART_HEADERS_MAX || c == '\0')
		return refuse(m, "the headers of a part are too long, or hold a NUL");
	m->headers[m->n_headers++] = c;
	m->headers[m->n_headers] = '\0';
	if (c != '\n' || !headers_end(m))
		return MULTIPART_MORE;
	m->n_headers = 0; /* the text stays until the next part */
	m->state = STATE_CONTENT;
	return MULTIPART_PART;
}

/* ---- content ----------------------------------------------------------------------------------------------------- */

static enum multipart_event tell(struct multipart *m, const char *data, size_t size)
{
	if (m->state != STATE_CONTENT)
		return MULTIPART_MORE;
	m->data = data;
	m->size = size;
	return MULTIPART_DATA;
}

static enum multipart_event end_content(struct multipart *m)
{
	bool was_content = m->state == STATE_CONTENT;

	m->n_matched = 0;
	m->n_tail = 0;
	m->state = STATE_AFTER_DELIMITER;
	return was_content ? MULTIPART_PART_END : MULTIPART_MORE;
}

/* Where a delimiter, or what may be the beginning of one, is; or the end. */
static const char *find_delimiter(const struct multipart *m, const char *from, size_t size)
{
	const char *end = from + size;

	for (const char *cr = from; (cr = memchr(cr, '\r', (size_t)(end - cr))); cr++) {
		size_t left = (size_t)(end - cr);

		if (memcmp(cr, m->delimiter, left < m->delimiter_size ? left : m->delimiter_size) == 0)
			return cr;
	}
	return end;
}

/*
 * A delimiter begins with a CR and has no other, so that what was held back and turns out to be none is content, and the
 * search goes on with the next byte.
 */
static enum multipart_event take_content(struct multipart *m, const char **data, size_t *size)
{
	const char *from = *data;
	size_t n_held = m->n_matched;

	if (n_held == 0) {
		*data = find_delimiter(m, from, *size);
		*size -= (size_t)(*data - from);
		if (*data != from)
			return tell(m, from, (size_t)(*data - from));
	}
	while (*size && **data == m->delimiter[m->n_matched]) {
		take(data, size);
		if (++m->n_matched == m->delimiter_size)
			return end_content(m);
	}
	if (*size == 0)
		return MULTIPART_MORE;
	n_held = m->n_matched;
	m->n_matched = 0;
	return tell(m, m->delimiter, n_held);
}

enum multipart_event multipart_next(struct multipart *m, const char **data, size_t *size)
{
	enum multipart_event event = MULTIPART_MORE;

	while (*size && event == MULTIPART_MORE) {
		switch ((enum state)m->state) {
		case STATE_BEGIN:
			event = begin(m, data);
			m->n_matched = m->state == STATE_PREAMBLE ? 2 : 0;
			break;
		case STATE_FIRST_LINE:
			event = take_first_line(m, data, size);
			break;
		case STATE_AFTER_DELIMITER:
			event = take_after_delimiter(m, data, size);
			break;
		case STATE_HEADERS:
			event = take_header(m, data, size);
			break;
		case STATE_PREAMBLE:
		case STATE_CONTENT:
			event = take_content(m, data, size);
			break;
		case STATE_OVER:
			*data += *size;
			*size = 0;
			break;
		case STATE_INVALID:
			return MULTIPART_INVALID;
		}
	}
	return event;
}
