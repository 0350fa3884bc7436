/* The target of a request: what it is taken apart into lies within its limits, and an encoded segment comes back. */
#include "api/url.h"
#include "tests/fuzz/fuzz.h"

#include <string.h>

static void check_round_trip(const char *segment)
{
	struct buffer target = { 0 };
	struct url again;

	buffer_put_text(&target, "/");
	url_put_encoded(&target, segment);
	buffer_put(&target, "", 1);
	FUZZ_CHECK(!target.failed && url_split(&again, target.data) == 0);
	FUZZ_CHECK(again.n_segments == 1 && strcmp(again.segments[0], segment) == 0);
	url_fini(&again);
	buffer_fini(&target);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *target = strndup((const char *)data, size);
	struct url u;

	if (target && url_split(&u, target) == 0) {
		FUZZ_CHECK(u.n_segments <= URL_SEGMENTS_MAX && u.n_parameters <= URL_PARAMETERS_MAX);
		for (size_t i = 0; i < u.n_parameters; i++)
			FUZZ_CHECK(url_parameter(&u, u.parameters[i].name) != NULL);
		for (size_t i = 0; i < u.n_segments; i++)
			check_round_trip(u.segments[i]);
	}
	url_fini(&u);
	free(target);
	return 0;
}
