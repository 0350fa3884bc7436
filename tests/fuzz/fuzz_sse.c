/* Server-sent events in pieces of any size: how they are cut does not matter. */
#include "api/cli/sse.h"
#include "tests/fuzz/choices.h"
#include "tests/fuzz/fuzz.h"

#include <errno.h>
#include <string.h>

enum { LIMIT = 4096 };

static int count(void *context, const char *type, const char *data, size_t size)
{
	size_t *n = context;

	FUZZ_CHECK(size <= LIMIT && data[size] == '\0');
	*n = *n * 31 + size + strlen(type) + 1;
	return 0;
}

static int take(const uint8_t *data, size_t size, size_t piece, size_t *seen)
{
	struct sse_parser p;
	int rc = 0;

	*seen = 0;
	sse_parser_init(&p, LIMIT, count, seen);
	for (size_t at = 0; at < size && rc == 0; at += piece)
		rc = sse_parser_feed(&p, data + at, piece < size - at ? piece : size - at);
	sse_parser_fini(&p);
	return rc;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct choices c = { data, size };
	const size_t piece = 1 + choose_below(&c, 64);
	size_t whole, cut;
	const int rc = take(c.data, c.size, c.size + 1, &whole);

	FUZZ_CHECK(rc == take(c.data, c.size, piece, &cut));
	FUZZ_CHECK(rc == 0 || rc == -EMSGSIZE);
	if (rc == 0)
		FUZZ_CHECK(whole == cut);
	return 0;
}
