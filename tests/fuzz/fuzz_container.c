/* What a host says of a container: whatever is sound has this one encoding, and stays within the body. */
#include "common/agent_container.h"
#include "tests/fuzz/fuzz.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct agent_container container;
	static uint8_t again[AGENT_CONTAINER_BODY_MAX];

	if (agent_container_decode(data, size, &container))
		return 0;
	FUZZ_CHECK(agent_container_encode(&container, again, sizeof(again)) == size);
	FUZZ_CHECK(memcmp(again, data, size) == 0);
	FUZZ_CHECK(!container.arguments[container.n_arguments] && !container.variables[container.n_variables]);
	return 0;
}
