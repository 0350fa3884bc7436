/* A guest's request for a token: whatever it sends, it is refused with a sentence or names a resource within its limit. */
#include "api/identity_request.h"
#include "tests/fuzz/fuzz.h"

#include <string.h>

#define SECRET "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

static void check(const char *data, size_t size)
{
	struct identity_request request;
	struct buffer answer = { 0 };
	const char *problem;
	unsigned int status = identity_request_parse(&request, data, size, SECRET, &problem);

	if (status == 0)
		FUZZ_CHECK(size <= IDENTITY_HEAD_MAX && !problem);
	if (status == 200) {
		FUZZ_CHECK(*request.resource && strlen(request.resource) <= IDENTITY_RESOURCE_MAX && !problem);
		FUZZ_CHECK(memmem(data, size, SECRET, strlen(SECRET)));
		identity_answer_put_token(&answer, "token", 1, request.resource);
	} else if (status != 0) {
		FUZZ_CHECK(status >= 400 && problem && *problem && !*request.resource);
		identity_answer_put_problem(&answer, status, problem);
	}
	FUZZ_CHECK(!answer.failed);
	buffer_fini(&answer);
}

/* As it is, and behind a header that has the secret, so that a fuzzer that cannot guess it sees the rest. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct buffer whole = { 0 };
	const char *line_end = size ? memmem(data, size, "\r\n", 2) : NULL;
	size_t line_size = line_end ? (size_t)(line_end - (const char *)data) : size;

	check((const char *)data, size);
	buffer_put(&whole, data, line_size);
	buffer_put_text(&whole, "\r\nX-IDENTITY-HEADER: " SECRET);
	buffer_put(&whole, (const char *)data + line_size, size - line_size);
	if (!line_end)
		buffer_put_text(&whole, "\r\n\r\n");
	check(whole.data, whole.size);
	buffer_fini(&whole);
	return 0;
}
