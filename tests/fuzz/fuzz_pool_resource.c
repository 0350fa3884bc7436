/* The JSON of a pool: it is refused with a reason, or is a definition that survives being written and read again. */
#include "api/json.h"
#include "api/pool_resource.h"
#include "tests/fuzz/choices.h"
#include "tests/fuzz/fuzz.h"

#include <string.h>

static const struct pool_limits limits = { .min_cooldown_s = POOL_COOLDOWN_MIN_S };

static void check_survives(const struct pool_record *record, bool is_old_form)
{
	static const struct pool_address address = { "/sessionPools/aa", "http://h/sessionPools/aa" };
	json_t *json = pool_resource_write(record, &address, is_old_form);
	struct pool_record again = { .definition = pool_definition_default("aa") };
	struct error err = { 0 };

	FUZZ_CHECK(json);
	FUZZ_CHECK(pool_resource_read(&again, json, &err) == 0);
	FUZZ_CHECK(pool_definition_check(&again.definition, &limits, &err) == 0);
	FUZZ_CHECK(again.definition.container_type == record->definition.container_type);
	FUZZ_CHECK(again.definition.max_concurrent_sessions == record->definition.max_concurrent_sessions);
	FUZZ_CHECK(again.definition.memory_mib == record->definition.memory_mib);
	json_decref(json);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct choices c = { data, size };
	const bool is_old_form = choose_below(&c, 2);
	struct pool_record record = { .definition = pool_definition_default("aa"), .tags = "{}" };
	struct error err = { 0 };
	json_t *json = json_parse((const char *)c.data, c.size, &err);

	if (json && pool_resource_read(&record, json, &err) == 0 &&
	    pool_definition_check(&record.definition, &limits, &err) == 0)
		check_survives(&record, is_old_form);
	else
		FUZZ_CHECK(err.code && *err.text && strlen(err.text) < sizeof(err.text));
	json_decref(json);
	return 0;
}
