/* A multipart body in pieces of any size: no piece is told twice, and how it was cut does not matter. */
#include "api/multipart.h"
#include "tests/fuzz/choices.h"
#include "tests/fuzz/fuzz.h"

#include <string.h>

struct outcome {
	size_t n_parts, n_bytes;
	bool is_invalid, is_over;
};

static struct outcome take(const char *body, size_t size, size_t piece)
{
	struct outcome outcome = { 0 };
	struct multipart m;

	multipart_init(&m, "multipart/form-data; boundary=\"b\"");
	for (size_t at = 0; at < size && !outcome.is_invalid; at += piece) {
		const char *data = body + at;
		size_t left = piece < size - at ? piece : size - at;
		enum multipart_event event;

		while ((event = multipart_next(&m, &data, &left)) != MULTIPART_MORE) {
			outcome.n_parts += event == MULTIPART_PART;
			if (event == MULTIPART_PART)
				FUZZ_CHECK(strlen(m.headers) <= MULTIPART_HEADERS_MAX);
			if (event == MULTIPART_DATA)
				outcome.n_bytes += m.size;
			outcome.is_invalid = event == MULTIPART_INVALID;
			if (event == MULTIPART_END || outcome.is_invalid)
				break;
		}
		if (outcome.is_invalid)
			FUZZ_CHECK(m.problem != NULL);
	}
	outcome.is_over = multipart_is_over(&m);
	FUZZ_CHECK(outcome.n_bytes <= size);
	return outcome;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct choices c = { data, size };
	const size_t piece = 1 + choose_below(&c, 64);
	const struct outcome whole = take((const char *)c.data, c.size, c.size + 1),
			     cut = take((const char *)c.data, c.size, piece);

	FUZZ_CHECK(whole.is_invalid == cut.is_invalid && whole.is_over == cut.is_over);
	if (!whole.is_invalid)
		FUZZ_CHECK(whole.n_parts == cut.n_parts && whole.n_bytes == cut.n_bytes);
	return 0;
}
