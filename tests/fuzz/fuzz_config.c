/* The text of a configuration file. */
#include "api/config.h"
#include "tests/fuzz/fuzz.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *text = strndup((const char *)data, size);
	struct config config = { 0 };
	struct error err = { 0 };

	if (text && config_parse(&config, text, "fuzz", &err) < 0)
		FUZZ_CHECK(*err.text && strlen(err.text) < sizeof(err.text));
	config_fini(&config);
	free(text);
	return 0;
}
