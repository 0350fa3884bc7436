/* AGENT_CONTAINER_START's body: what is encoded is decoded, every cut is refused, the bounds of each field. */
#include "common/agent_container.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

static struct agent_container sample(void)
{
	return (struct agent_container) {
		.flags = AGENT_CONTAINER_HOLD,
		.n_disks = 3,
		.stop_signal = 15,
		.target_port = 8080,
		.user = "app:1000",
		.directory = "/srv",
		.n_arguments = 3,
		.arguments = { "/bin/server", "", "two words" },
		.n_variables = 2,
		.variables = { "A=", "B=\xff=\n" },
		.n_probes = 2,
		.probes = {
			{ .kind = AGENT_PROBE_STARTUP, .action = AGENT_PROBE_HTTP, .port = 8080, .initial_delay_ms = 1,
			  .period_ms = 2, .timeout_ms = 3, .success_threshold = 1, .failure_threshold = 5,
			  .path = "/health?x=1",
			  .n_headers = 1, .headers = { "X-Probe: yes, really" } },
			{ .kind = AGENT_PROBE_READINESS, .action = AGENT_PROBE_TCP, .port = 65535, .period_ms = 10000,
			  .timeout_ms = 1000, .success_threshold = 4, .failure_threshold = 3, .path = "" },
		},
	};
}

/* Encodes it and decodes a copy of its exact size on the heap, where the address sanitizer sees a byte too many. */
static const char *fault_of(const struct agent_container *container)
{
	static uint8_t body[AGENT_CONTAINER_BODY_MAX];
	static struct agent_container decoded;
	size_t size = agent_container_encode(container, body, sizeof(body));
	const char *fault;
	uint8_t *copy = malloc(size);

	assert_true(size > 0);
	memcpy(copy, body, size);
	fault = agent_container_decode(copy, size, &decoded);
	free(copy);
	return fault;
}

static void test_what_is_encoded_is_decoded(void **state)
{
	struct agent_container given = sample(), got;
	uint8_t body[1024], again[1024];
	size_t size = agent_container_encode(&given, body, sizeof(body));

	(void)state;
	assert_null(agent_container_decode(body, size, &got));
	assert_int_equal(got.flags, AGENT_CONTAINER_HOLD);
	assert_int_equal(got.n_disks, 3);
	assert_int_equal(got.stop_signal, 15);
	assert_int_equal(got.target_port, 8080);
	assert_string_equal(got.user, "app:1000");
	assert_string_equal(got.directory, "/srv");
	assert_int_equal(got.n_arguments, 3);
	assert_string_equal(got.arguments[2], "two words");
	assert_null(got.arguments[3]);
	assert_string_equal(got.variables[1], "B=\xff=\n");
	assert_null(got.variables[2]);
	assert_int_equal(got.probes[0].failure_threshold, 5);
	assert_string_equal(got.probes[0].path, "/health?x=1");
	assert_string_equal(got.probes[0].headers[0], "X-Probe: yes, really");
	assert_int_equal(got.probes[1].port, 65535);
	assert_int_equal(got.probes[1].success_threshold, 4);
	assert_int_equal(agent_container_encode(&got, again, sizeof(again)), size);
	assert_memory_equal(body, again, size);
}

static void test_every_length_but_its_own_is_refused(void **state)
{
	static struct agent_container got;
	struct agent_container given = sample();
	uint8_t body[1024] = { 0 };
	size_t size = agent_container_encode(&given, body, sizeof(body));

	(void)state;
	for (size_t cut = 0; cut <= size + 1; cut++) {
		uint8_t *copy = malloc(cut ? cut : 1);

		memcpy(copy, body, cut);
		assert_int_equal(!agent_container_decode(copy, cut, &got), cut == size);
		free(copy);
	}
	for (size_t room = 0; room < size; room++)
		assert_int_equal(agent_container_encode(&given, body, room), 0);
}

#define REFUSES(change)                                                                                                \
	do {                                                                                                           \
		struct agent_container c = sample();                                                                   \
		change;                                                                                                \
		assert_non_null(fault_of(&c));                                                                         \
	} while (0)

static void test_bounds(void **state)
{
	(void)state;
	REFUSES(c.flags = 4);
	REFUSES(c.n_disks = AGENT_CONTAINER_DISKS_MAX + 1);
	REFUSES(c.stop_signal = 0);
	REFUSES(c.stop_signal = 65);
	REFUSES(c.directory = "srv");
	REFUSES(c.n_arguments = 0);
	REFUSES(c.arguments[0] = "");
	REFUSES(c.variables[0] = "A");
	REFUSES(c.variables[0] = "=A");
	REFUSES(c.probes[1].kind = AGENT_PROBE_STARTUP);
	REFUSES(c.probes[0].kind = 0);
	REFUSES(c.probes[0].kind = 4);
	REFUSES(c.probes[0].action = 3);
	REFUSES(c.probes[0].port = 0);
	REFUSES(c.probes[0].period_ms = 0);
	REFUSES(c.probes[0].timeout_ms = 0);
	REFUSES(c.probes[0].timeout_ms = AGENT_PROBE_MS_MAX + 1);
	REFUSES(c.probes[0].success_threshold = 2);
	REFUSES(c.probes[0].failure_threshold = 0);
	REFUSES(c.probes[1].success_threshold = 0);
}

static void test_a_probe_is_one_request(void **state)
{
	static char long_path[AGENT_PROBE_TEXT_MAX + 2] = "/";

	(void)state;
	memset(long_path + 1, 'a', AGENT_PROBE_TEXT_MAX);
	REFUSES(c.probes[0].path = "");
	REFUSES(c.probes[0].path = "health");
	REFUSES(c.probes[0].path = "/a b");
	REFUSES(c.probes[0].path = "/a\r\nX: y");
	REFUSES(c.probes[0].path = "/\xc3\xa9");
	REFUSES(c.probes[0].path = long_path);
	REFUSES(c.probes[0].headers[0] = "no colon");
	REFUSES(c.probes[0].headers[0] = ": no name");
	REFUSES(c.probes[0].headers[0] = "X: a\r\nY: b");
	REFUSES(c.probes[0].headers[0] = "X Y: a");
	REFUSES(c.probes[1].path = "/");
}

static void test_too_many(void **state)
{
	static uint8_t body[AGENT_CONTAINER_BODY_MAX];
	static struct agent_container c, got;

	(void)state;
	c = sample();
	c.n_arguments = AGENT_CONTAINER_TEXTS_MAX;
	for (uint32_t i = 0; i < AGENT_CONTAINER_TEXTS_MAX; i++)
		c.arguments[i] = "a";
	assert_null(fault_of(&c));
	assert_true(agent_container_encode(&c, body, sizeof(body)) > 0);
	/* The count of arguments comes after 12 bytes and two texts. */
	body[12 + sizeof("app:1000") + sizeof("/srv") + 3] = 1;
	assert_non_null(agent_container_decode(body, sizeof(body), &got));
	c = sample();
	assert_true(agent_container_encode(&c, body, sizeof(body)) > 0);
	body[8] = AGENT_CONTAINER_PROBES_MAX + 1;
	assert_string_equal(agent_container_decode(body, sizeof(body), &got), "there are too many probes");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_what_is_encoded_is_decoded),
		cmocka_unit_test(test_every_length_but_its_own_is_refused),
		cmocka_unit_test(test_bounds),
		cmocka_unit_test(test_a_probe_is_one_request),
		cmocka_unit_test(test_too_many),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
