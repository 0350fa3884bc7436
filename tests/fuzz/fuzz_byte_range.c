/* The Range header: what is read of it is a piece that lies within any file. */
#include "api/byte_range.h"
#include "common/file_piece.h"
#include "tests/fuzz/choices.h"
#include "tests/fuzz/fuzz.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const uint64_t sizes[] = { 0, 1, 1000, INT64_MAX, UINT64_MAX };
	char *header = strndup((const char *)data, size);
	struct byte_range range;

	if (!header)
		return 0;
	for (size_t i = 0; byte_range_parse(header, &range) && i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		uint64_t start, n = file_piece(sizes[i], range.offset, range.length, &start);

		FUZZ_CHECK(start <= sizes[i] && n <= sizes[i] - start && n <= range.length);
	}
	free(header);
	return 0;
}
