/* What the agent accepts as AGENT_ADOPT: every length, the bounds of each field. */
#include "guest-agent/adopt.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

enum { NAME_AT = 16 + AGENT_ENTROPY_SIZE };

/* A body of its exact size on the heap, where the address sanitizer sees a byte too many. */
static const char *decode(uint64_t realtime_ns, uint8_t identity, const char *name, size_t size,
			  struct adoption *adoption)
{
	uint8_t whole[NAME_AT + 128] = { 0 };
	uint8_t *body = malloc(size ? size : 1);
	const char *fault;

	for (int i = 0; i < 8; i++)
		whole[i] = (uint8_t)(realtime_ns >> (8 * i));
	whole[8] = identity;
	for (uint8_t i = 0; i < AGENT_ENTROPY_SIZE; i++)
		whole[16 + i] = i;
	memcpy(whole + NAME_AT, name, strlen(name));
	memcpy(body, whole, size);
	fault = adopt_decode(body, size, adoption);
	free(body);
	return fault;
}

static const uint64_t some_time_ns = 1760000000123456789ull;

static void test_fields_are_read(void **state)
{
	struct adoption adoption;

	(void)state;
	assert_null(decode(some_time_ns, AGENT_IDENTITY_KEEP, "hearth-1", NAME_AT + 8, &adoption));
	assert_int_equal(adoption.realtime_ns, some_time_ns);
	assert_int_equal(adoption.identity, AGENT_IDENTITY_KEEP);
	assert_string_equal(adoption.host_name, "hearth-1");
	assert_int_equal(adoption.entropy[AGENT_ENTROPY_SIZE - 1], AGENT_ENTROPY_SIZE - 1);
}

static void test_every_length(void **state)
{
	char name[128] = { 0 };
	struct adoption adoption;

	(void)state;
	memset(name, 'a', sizeof(name) - 1);
	for (size_t size = 0; size < NAME_AT + sizeof(name) - 1; size++) {
		bool is_sound = size > NAME_AT && size <= NAME_AT + AGENT_HOST_NAME_MAX;

		assert_int_equal(!decode(some_time_ns, AGENT_IDENTITY_NEW, name, size, &adoption), is_sound);
		if (is_sound)
			assert_int_equal(strlen(adoption.host_name), size - NAME_AT);
	}
}

static void test_bounds_of_the_time(void **state)
{
	const uint64_t second = 1000000000;
	struct adoption adoption;

	(void)state;
	assert_non_null(decode(1577836800 * second - 1, AGENT_IDENTITY_NEW, "a", NAME_AT + 1, &adoption));
	assert_null(decode(1577836800 * second, AGENT_IDENTITY_NEW, "a", NAME_AT + 1, &adoption));
	assert_null(decode(7258118400 * second, AGENT_IDENTITY_NEW, "a", NAME_AT + 1, &adoption));
	assert_non_null(decode(7258118400 * second + 1, AGENT_IDENTITY_NEW, "a", NAME_AT + 1, &adoption));
}

static void test_every_byte_of_a_name(void **state)
{
	const char *allowed = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-";
	struct adoption adoption;

	(void)state;
	for (int c = 1; c < 256; c++) {
		const char name[] = { 'a', (char)c, 'b', '\0' };

		assert_int_equal(!decode(some_time_ns, AGENT_IDENTITY_NEW, name, NAME_AT + 3, &adoption),
				 strchr(allowed, c) != NULL);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_fields_are_read),
		cmocka_unit_test(test_every_length),
		cmocka_unit_test(test_bounds_of_the_time),
		cmocka_unit_test(test_every_byte_of_a_name),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
