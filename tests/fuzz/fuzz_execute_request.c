/* The body of a request to execute code: it is refused with a reason, or is code within its limits. */
#include "api/execute_request.h"
#include "tests/fuzz/fuzz.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct execute_request request;
	struct error err = { 0 };
	bool is_shell = size && data[size - 1] == '\n'; /* which JSON passes over */

	if (execute_request_parse(&request, is_shell, (const char *)data, size, &err) == 0)
		FUZZ_CHECK((request.code || !request.code_size) && request.code_size <= AGENT_CODE_MAX && !err.code);
	else
		FUZZ_CHECK(err.code && *err.text && strlen(err.text) < sizeof(err.text));
	execute_request_fini(&request);
	return 0;
}
