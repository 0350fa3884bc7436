/*
 * The JSON of a pool with anything in it: real bodies with bytes, words and whole values changed. Whatever comes, it is
 * refused in order, or it is a definition within its limits that survives being written and read again. The seed is
 * fixed: a failure comes again. HEARTH_FUZZ_ROUNDS=n runs longer.
 */
#include "api/json.h"
#include "api/pool_resource.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { ROUNDS = 60000, TEXT_SIZE = 8192 };

static const char *const bodies[] = {
	"{\"location\":\"eastasia\",\"tags\":{\"a\":\"b\"},\"properties\":{\"environmentId\":null,"
	"\"poolManagementType\":\"Dynamic\",\"containerType\":\"PythonLTS\",\"dynamicPoolConfiguration\":{"
	"\"executionType\":\"Timed\",\"cooldownPeriodInSeconds\":\"300\"},\"scaleConfiguration\":{"
	"\"maxConcurrentSessions\":10,\"readySessionInstances\":5},\"sessionNetworkConfiguration\":{"
	"\"status\":\"EgressDisabled\"}},\"identity\":{\"type\":\"None\"}}",
	"{\"properties\":{\"containerType\":\"NodeLTS\",\"templateName\":\"warm\",\"dynamicPoolConfiguration\":{"
	"\"lifecycleConfiguration\":{\"lifecycleType\":\"MaxLifetime\",\"maxAlivePeriodInSeconds\":7200}},"
	"\"resources\":{\"cpu\":0.25,\"memory\":\"0.5Gi\"}}}",
	"{\"Properties\":{\"Resources\":{\"CPU\":\"1.5\",\"Memory\":\"1536Mi\"},\"ScaleConfiguration\":{"
	"\"MaxConcurrentSessions\":\"1000\"}},\"Tags\":{}}",
};

/* What a mutation puts in: values at the edges of types and limits, words of the format; and pieces of syntax. */
static const char *const values[] = {
	"null",
	"true",
	"0",
	"-1",
	"1",
	"60",
	"59",
	"3600",
	"3601",
	"1000",
	"1001",
	"4294967295",
	"4294967296",
	"9223372036854775807",
	"-0.0",
	"1e14",
	"1e-320",
	"0.25",
	"128",
	"16384",
	"\"\"",
	"\"0\"",
	"\"64\"",
	"\"65\"",
	"\"1Gi\"",
	"\"0.0001Gi\"",
	"\"16Gi\"",
	"\"16385Mi\"",
	"\"1e9Gi\"",
	"\"\\u0000\"",
	"\"\\ud83d\\ude00\"",
	"[]",
	"{}",
	"{\"a\":{\"a\":{\"a\":1}}}",
	"\"Shell\"",
	"\"OnContainerExit\"",
	"\"EgressEnabled\"",
	"\"../x\"",
};
static const char *const pieces[] = {
	",", ":", "\"", "\\", "}", "]", "[[[[[[", "\"resources\"", "\"tags\"", "\\ud800"
};

static uint64_t random_state = 0x9e3779b97f4a7c15;

static uint32_t random_below(uint32_t n)
{
	random_state = random_state * 6364136223846793005ULL + 1442695040888963407ULL;
	return (uint32_t)(random_state >> 33) % n;
}

static unsigned rounds(void)
{
	const char *text = getenv("HEARTH_FUZZ_ROUNDS");

	return text ? (unsigned)strtoul(text, NULL, 10) : ROUNDS;
}

/* Puts `piece` in place of `n_old` bytes at `at`. */
static size_t splice(char *text, size_t size, size_t at, size_t n_old, const char *piece)
{
	size_t n_new = strlen(piece);

	if (size - n_old + n_new >= TEXT_SIZE)
		return size;
	memmove(text + at + n_new, text + at + n_old, size - at - n_old);
	memcpy(text + at, piece, n_new);
	return size - n_old + n_new;
}

/* The value at a place where one begins, after a colon: it is replaced whole, so that the document stays JSON. */
static size_t replace_value(char *text, size_t size)
{
	size_t at = random_below((uint32_t)size), end;

	while (at < size && text[at] != ':')
		at++;
	if (at == size)
		return size;
	end = ++at;
	if (text[at] == '"')
		for (end++; end < size && text[end] != '"'; end++)
			;
	while (end < size && !strchr(",}]", text[end]))
		end++;
	return splice(text, size, at, end - at, values[random_below(sizeof(values) / sizeof(values[0]))]);
}

static size_t mutate(char *text, size_t size)
{
	size_t at = random_below((uint32_t)size);

	switch (random_below(16)) {
	case 0:
		text[at] = (char)random_below(256);
		return size;
	case 1:
		return splice(text, size, at, random_below((uint32_t)(size - at)) % 9, "");
	case 2:
		return splice(text, size, at, 0, pieces[random_below(sizeof(pieces) / sizeof(pieces[0]))]);
	default:
		return replace_value(text, size);
	}
}

static const struct pool_limits limits = { .min_cooldown_s = POOL_COOLDOWN_MIN_S };

static void check_survives(const struct pool_record *record)
{
	static const struct pool_address address = { "/sessionPools/aa", "http://h/sessionPools/aa" };
	bool is_old_form = random_below(2);
	json_t *json = pool_resource_write(record, &address, is_old_form);
	struct pool_record again = { .definition = pool_definition_default("aa") };
	struct error err = { 0 };

	assert_non_null(json);
	if (pool_resource_read(&again, json, &err) < 0 || pool_definition_check(&again.definition, &limits, &err) < 0)
		fail_msg("%s", err.text);
	/* Of the two times only the one that is in use is shown. */
	if (record->definition.lifecycle == POOL_TIMED)
		again.definition.max_alive_s = record->definition.max_alive_s;
	else
		again.definition.cooldown_s = record->definition.cooldown_s;
	assert_memory_equal(&again.definition, &record->definition, sizeof(again.definition));
	assert_string_equal(again.location, record->location);
	json_decref(json);
}

static void any_json_is_refused_or_within_the_limits(void **state)
{
	unsigned n_json = 0, n_read = 0, n_allowed = 0;
	static char text[TEXT_SIZE];

	(void)state;
	for (unsigned i = rounds(); i > 0; i--) {
		const char *body = bodies[random_below(sizeof(bodies) / sizeof(bodies[0]))];
		struct pool_record record = { .definition = pool_definition_default("aa"), .tags = "{}" };
		struct error err = { 0 };
		size_t size = strlen(body);
		json_t *json;

		memcpy(text, body, size);
		for (uint32_t n = 1 + random_below(4); n > 0 && size > 0; n--)
			size = mutate(text, size);
		json = json_parse(text, size, &err);
		n_json += json != NULL;
		if (json && pool_resource_read(&record, json, &err) == 0) {
			n_read++;
			if (pool_definition_check(&record.definition, &limits, &err) == 0) {
				n_allowed++;
				check_survives(&record);
			}
		}
		/* A refusal has a reason. */
		if (err.code)
			assert_true(err.text[0] && strlen(err.text) < sizeof(err.text));
		json_decref(json);
	}
	/* Else it tested only the parser, or nothing: each of the three gates has turned some away and let some by. */
	assert_true(n_allowed > rounds() / 20);
	assert_true(n_read - n_allowed > rounds() / 50);
	assert_true(n_json - n_read > rounds() / 50);
	assert_true(rounds() - n_json > rounds() / 20);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(any_json_is_refused_or_within_the_limits),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
