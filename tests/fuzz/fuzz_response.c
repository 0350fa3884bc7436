/*
 * A container's response in pieces of any size: how it was cut does not matter, nothing is told that was not fed, and no
 * header has what could end a line.
 */
#include "api/http_fields.h"
#include "api/response_parser.h"
#include "tests/fuzz/choices.h"
#include "tests/fuzz/fuzz.h"

#include <string.h>

struct outcome {
	uint64_t n_bytes;
	size_t n_headers, n_left;
	unsigned int status;
	bool is_invalid, is_over, is_kept_alive;
};

static void check_headers(const struct response_parser *p)
{
	FUZZ_CHECK(p->n_headers <= RESPONSE_HEADERS_MAX);
	for (size_t i = 0; i < p->n_headers; i++) {
		const struct response_header *h = &p->headers[i];

		FUZZ_CHECK(http_is_token(h->name, strlen(h->name)));
		FUZZ_CHECK(http_is_field_value(h->value, strlen(h->value)));
		FUZZ_CHECK(h->value + strlen(h->value) < p->text + sizeof(p->text));
	}
}

static void take_event(const struct response_parser *p, enum response_event event, struct outcome *o)
{
	if (event == RESPONSE_HEAD) {
		FUZZ_CHECK(o->status == 0);
		FUZZ_CHECK(p->status == 101 || (p->status >= 200 && p->status <= 599));
		check_headers(p);
		o->status = p->status;
		o->n_headers = p->n_headers;
		o->is_kept_alive = p->is_kept_alive;
		o->is_over = p->status == 101;
	} else if (event == RESPONSE_DATA) {
		FUZZ_CHECK(o->status != 0 && !p->is_to_head);
		o->n_bytes += p->n_data;
	} else if (event == RESPONSE_END) {
		FUZZ_CHECK(o->status != 0);
		check_headers(p);
		o->n_headers += p->n_headers;
		o->is_over = true;
	} else {
		FUZZ_CHECK(p->problem != NULL);
		o->is_invalid = o->is_over = true;
	}
}

static struct outcome take(const char *text, size_t size, bool is_to_head, size_t piece)
{
	static struct response_parser p;
	struct outcome o = { 0 };
	size_t at = 0;

	response_parser_reset(&p, is_to_head);
	while (at < size && !o.is_over) {
		const char *data = text + at;
		size_t n = piece < size - at ? piece : size - at, left = n;
		enum response_event event;

		while (!o.is_over && (event = response_parser_next(&p, &data, &left)) != RESPONSE_MORE)
			take_event(&p, event, &o);
		FUZZ_CHECK(o.is_over || left == 0);
		at += n - left;
	}
	if (!o.is_over)
		take_event(&p, response_parser_close(&p), &o);
	o.n_left = size - at;
	FUZZ_CHECK(o.n_bytes <= size);
	return o;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct choices c = { data, size };
	const bool is_to_head = choose_below(&c, 8) == 7;
	const size_t piece = 1 + choose_below(&c, 64);
	const struct outcome whole = take((const char *)c.data, c.size, is_to_head, c.size + 1),
			     cut = take((const char *)c.data, c.size, is_to_head, piece);

	FUZZ_CHECK(whole.is_invalid == cut.is_invalid && whole.status == cut.status && whole.n_left == cut.n_left);
	FUZZ_CHECK(whole.n_bytes == cut.n_bytes && whole.n_headers == cut.n_headers);
	FUZZ_CHECK(whole.is_kept_alive == cut.is_kept_alive);
	return 0;
}
