#include "api/response_parser.h"

#include "api/http_fields.h"
#include "common/hex.h"
#include "common/text.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum state {
	STATUS_LINE, /* the zeroed parser's */
	HEADER_LINE,
	BODY,       /* of known length */
	BODY_CLOSE, /* up to the end of the connection */
	CHUNK_SIZE,
	CHUNK_EXTENSION,
	CHUNK_SIZE_LF,
	CHUNK_DATA,
	CHUNK_CR,
	CHUNK_LF,
	TRAILER_LINE,
	AT_END,
	SWITCHED,
	DEAD,
};

enum {
	CHUNK_DIGITS_MAX = 15,
};

static enum response_event invalid(struct response_parser *p, const char *problem)
{
	p->problem = problem;
	p->state = DEAD;
	return RESPONSE_INVALID;
}

void response_parser_reset(struct response_parser *p, bool is_to_head)
{
	/* Not the text, which is large and need not be cleared. */
	memset(p, 0, offsetof(struct response_parser, text));
	p->is_to_head = is_to_head;
}

const char *response_header(const struct response_parser *p, const char *name)
{
	for (size_t i = 0; i < p->n_headers; i++)
		if (strcasecmp(p->headers[i].name, name) == 0)
			return p->headers[i].value;
	return NULL;
}

/* ---- lines ------------------------------------------------------------------------------------------------------- */

/*
 * Takes bytes up to the end of a line: then 1, and p->text + p->line is the line with NUL in place of CRLF. 0 if more
 * bytes are needed; negative if it is no line.
 */
static int take_line(struct response_parser *p, const char **data, size_t *size)
{
	while (*size) {
		char c = *(*data)++;

		--*size;
		if (p->n_text > p->line && p->text[p->n_text - 1] == '\r') {
			if (c != '\n')
				goto no_line;
			p->text[p->n_text - 1] = '\0';
			return 1;
		}
		if (c != '\r' && !http_is_field_value(&c, 1))
			goto no_line;
		if (p->n_text == sizeof(p->text)) {
			invalid(p, "has more headers than fit in 32 KiB");
			return -1;
		}
		p->text[p->n_text++] = c;
	}
	return 0;
no_line:
	invalid(p, "has a control character in its headers, or a line that does not end with CR LF");
	return -1;
}

static bool take_status(struct response_parser *p, const char *line)
{
	if (strncmp(line, "HTTP/1.", 7) != 0 || (line[7] != '0' && line[7] != '1') || line[8] != ' ' ||
	    !text_is_digit(line[9]) || !text_is_digit(line[10]) || !text_is_digit(line[11]) ||
	    (line[12] != ' ' && line[12] != '\0'))
		return false;
	p->is_11 = line[7] == '1';
	p->status = (unsigned int)((line[9] - '0') * 100 + (line[10] - '0') * 10 + (line[11] - '0'));
	return p->status >= 100 && p->status <= 599;
}

/* Splits it in place. False after invalid(). */
static bool take_header(struct response_parser *p, char *line)
{
	size_t n_name = strcspn(line, ":");
	char *value = line + n_name + 1, *end;

	if (!line[n_name] || !http_is_token(line, n_name)) {
		invalid(p, "has a header line that is no 'name: value'");
		return false;
	}
	if (p->n_headers == RESPONSE_HEADERS_MAX) {
		invalid(p, "has more than 100 headers");
		return false;
	}
	line[n_name] = '\0';
	value += strspn(value, " \t");
	for (end = value + strlen(value); end > value && (end[-1] == ' ' || end[-1] == '\t'); end--)
		;
	*end = '\0';
	p->headers[p->n_headers++] = (struct response_header) { line, value };
	return true;
}

/* ---- how long it is ---------------------------------------------------------------------------------------------- */

static bool take_length(struct response_parser *p, const char *value)
{
	if (!http_is_length(value) || p->has_length)
		return false;
	p->has_length = true;
	p->length = strtoull(value, NULL, 10);
	return true;
}

static bool take_framing(struct response_parser *p)
{
	p->length = RESPONSE_LENGTH_UNKNOWN;
	for (size_t i = 0; i < p->n_headers; i++) {
		const struct response_header *h = &p->headers[i];

		if (strcasecmp(h->name, "Content-Length") == 0) {
			if (!take_length(p, h->value))
				return false;
		} else if (strcasecmp(h->name, "Transfer-Encoding") == 0) {
			if (p->is_chunked || strcasecmp(h->value, "chunked") != 0)
				return false;
			p->is_chunked = true;
		} else if (strcasecmp(h->name, "Connection") == 0 && http_list_has(h->value, "close")) {
			p->has_close = true;
		}
	}
	return !p->is_chunked || (!p->has_length && p->is_11);
}

static bool has_no_body(const struct response_parser *p)
{
	return p->is_to_head || p->status == 204 || p->status == 304;
}

static void begin_body(struct response_parser *p)
{
	bool is_until_close = !has_no_body(p) && !p->is_chunked && !p->has_length;

	p->is_kept_alive = p->is_11 && !p->has_close && !is_until_close;
	p->left = p->length;
	if (has_no_body(p))
		p->state = AT_END;
	else if (p->is_chunked)
		p->state = CHUNK_SIZE;
	else if (is_until_close)
		p->state = BODY_CLOSE;
	else
		p->state = p->left ? BODY : AT_END;
	p->n_digits = p->n_line = 0;
}

/* Its last line was empty. RESPONSE_MORE after an interim one. */
static enum response_event end_head(struct response_parser *p)
{
	if (!take_framing(p))
		return invalid(p, "says in two ways, or in none that is known, how long it is");
	if (p->status == 101) {
		p->state = SWITCHED;
		return p->is_11 ? RESPONSE_HEAD : invalid(p, "switches protocols in HTTP/1.0");
	}
	if (p->status < 200) {
		unsigned int n = p->n_interim + 1;
		bool is_to_head = p->is_to_head;

		if (n > RESPONSE_INTERIM_MAX || p->has_length || p->is_chunked)
			return invalid(p, "begins with too many interim responses, or with one that has a body");
		response_parser_reset(p, is_to_head);
		p->n_interim = n;
		p->has_begun = true;
		return RESPONSE_MORE;
	}
	begin_body(p);
	return RESPONSE_HEAD;
}

/* One step: RESPONSE_MORE also if nothing is to be told yet. */
static enum response_event take_head(struct response_parser *p, const char **data, size_t *size)
{
	int rc = take_line(p, data, size);
	char *line = p->text + p->line;

	if (rc <= 0)
		return rc < 0 ? RESPONSE_INVALID : RESPONSE_MORE;
	p->line = p->n_text;
	if (p->state == STATUS_LINE) {
		if (!take_status(p, line))
			return invalid(p, "does not begin with a status line of HTTP/1.0 or HTTP/1.1");
		p->state = HEADER_LINE;
		return RESPONSE_MORE;
	}
	if (*line)
		return take_header(p, line) ? RESPONSE_MORE : RESPONSE_INVALID;
	if (p->state == HEADER_LINE)
		return end_head(p);
	p->state = DEAD;
	return RESPONSE_END;
}

/* ---- the body ---------------------------------------------------------------------------------------------------- */

static enum response_event take_data(struct response_parser *p, const char **data, size_t *size, enum state then)
{
	size_t n = p->state == BODY_CLOSE || *size < p->left ? *size : (size_t)p->left;

	p->data = *data;
	p->n_data = n;
	*data += n;
	*size -= n;
	if (p->state == BODY_CLOSE)
		return RESPONSE_DATA;
	p->left -= n;
	if (p->left == 0)
		p->state = then;
	return RESPONSE_DATA;
}

static enum response_event bad_chunk(struct response_parser *p)
{
	return invalid(p, "has a chunk whose size line or end is wrong");
}

static void begin_trailers(struct response_parser *p)
{
	p->n_headers = 0;
	p->n_text = p->line = 0;
	p->state = TRAILER_LINE;
}

static enum response_event take_chunk_size(struct response_parser *p, char c)
{
	int digit = hex_value(c);

	if (digit >= 0 && p->n_digits < CHUNK_DIGITS_MAX) {
		p->left = (p->n_digits++ ? p->left : 0) << 4 | (unsigned int)digit;
		return RESPONSE_MORE;
	}
	if (p->n_digits == 0 || (c != ';' && c != '\r'))
		return bad_chunk(p);
	p->state = c == ';' ? CHUNK_EXTENSION : CHUNK_SIZE_LF;
	return RESPONSE_MORE;
}

/* A byte of what is around the chunks. */
static enum response_event take_chunk_byte(struct response_parser *p, char c)
{
	if (++p->n_line > RESPONSE_CHUNK_LINE_MAX)
		return bad_chunk(p);
	switch (p->state) {
	case CHUNK_SIZE:
		return take_chunk_size(p, c);
	case CHUNK_EXTENSION:
		if (c == '\r')
			p->state = CHUNK_SIZE_LF;
		else if (!http_is_field_value(&c, 1))
			return bad_chunk(p);
		return RESPONSE_MORE;
	case CHUNK_CR:
		if (c != '\r')
			return bad_chunk(p);
		p->state = CHUNK_LF;
		return RESPONSE_MORE;
	default:
		break;
	}
	if (c != '\n')
		return bad_chunk(p);
	if (p->state == CHUNK_LF)
		p->state = CHUNK_SIZE;
	else if (p->left)
		p->state = CHUNK_DATA;
	else
		begin_trailers(p);
	p->n_digits = p->n_line = 0;
	return RESPONSE_MORE;
}

enum response_event response_parser_next(struct response_parser *p, const char **data, size_t *size)
{
	enum response_event event = RESPONSE_MORE;

	if (p->state == AT_END) {
		p->n_headers = 0;
		p->state = DEAD;
		return RESPONSE_END;
	}
	if (p->state == SWITCHED)
		return RESPONSE_MORE;
	if (p->state == DEAD)
		return RESPONSE_INVALID;
	while (*size && event == RESPONSE_MORE) {
		p->has_begun = true;
		switch (p->state) {
		case STATUS_LINE:
		case HEADER_LINE:
		case TRAILER_LINE:
			event = take_head(p, data, size);
			break;
		case BODY:
			return take_data(p, data, size, AT_END);
		case BODY_CLOSE:
			return take_data(p, data, size, BODY_CLOSE);
		case CHUNK_DATA:
			return take_data(p, data, size, CHUNK_CR);
		default:
			--*size;
			event = take_chunk_byte(p, *(*data)++);
		}
	}
	return event;
}

enum response_event response_parser_close(struct response_parser *p)
{
	if (p->state == BODY_CLOSE || p->state == AT_END) {
		p->n_headers = 0;
		p->state = DEAD;
		return RESPONSE_END;
	}
	return invalid(p, p->has_begun ? "ends before it is complete" : "does not come: the connection was closed");
}
