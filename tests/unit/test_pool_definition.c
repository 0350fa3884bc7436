#include "api/pool_definition.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <string.h>

static const struct pool_limits limits = { .min_cooldown_s = POOL_COOLDOWN_MIN_S };

static void check_good(const struct pool_definition *d)
{
	struct error err = { 0 };

	if (pool_definition_check(d, &limits, &err) < 0)
		fail_msg("%s", err.text);
}

static void check_bad(const struct pool_definition *d, const char *part)
{
	struct error err = { 0 };

	assert_true(pool_definition_check(d, &limits, &err) < 0);
	if (!strstr(err.text, part))
		fail_msg("\"%s\" is not in \"%s\"", part, err.text);
}

static void the_default_is_allowed(void **state)
{
	struct pool_definition d = pool_definition_default("default");

	(void)state;
	check_good(&d);
	assert_int_equal(d.max_concurrent_sessions, 100);
	assert_int_equal(d.lifecycle, POOL_TIMED);
	assert_int_equal(d.container_type, POOL_PYTHON_LTS);
}

/* Each number at its two ends, and one beyond each. */
static void numbers_have_limits_and_errors_name_them(void **state)
{
	struct pool_definition base = pool_definition_default("aa");
	static const struct {
		size_t offset;
		uint32_t lowest, highest;
		const char *name;
	} numbers[] = {
		{ offsetof(struct pool_definition, max_concurrent_sessions), 1, 1000, "maxConcurrentSessions" },
		{ offsetof(struct pool_definition, ready_session_instances), 0, 9, "readySessionInstances" },
		{ offsetof(struct pool_definition, cooldown_s), 60, 3600, "cooldownPeriodInSeconds" },
		{ offsetof(struct pool_definition, cpu_milli), 100, 64000, "resources.cpu" },
		{ offsetof(struct pool_definition, memory_mib), 128, 16384, "resources.memory" },
	};

	(void)state;
	base.max_concurrent_sessions = 9;
	base.ready_session_instances = 0;
	for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++) {
		struct pool_definition d = base;
		uint32_t *value = (uint32_t *)((char *)&d + numbers[i].offset);

		*value = numbers[i].lowest;
		check_good(&d);
		*value = numbers[i].highest;
		check_good(&d);
		*value = numbers[i].highest + 1;
		check_bad(&d, numbers[i].name);
		*value = numbers[i].lowest - 1;
		check_bad(&d, numbers[i].name);
	}
}

/* Each limit at its two ends, one beyond each, and 0, which is none. */
static void limits_are_none_or_in_their_range(void **state)
{
	static const struct {
		size_t offset;
		uint32_t lowest, highest;
		const char *name;
	} ranges[] = {
		{ offsetof(struct pool_session_limits, processes), 64, 896, "processes" },
		{ offsetof(struct pool_session_limits, disk_mib), 16, 16384, "disk" },
		{ offsetof(struct pool_session_limits, execution_s), 1, 4294967, "executionTimeInSeconds" },
		{ offsetof(struct pool_session_limits, output_bytes), 1, 1000000000, "outputBytes" },
		{ offsetof(struct pool_session_limits, session_rate), 1, 1000000, "sessionRequestsPerMinute" },
		{ offsetof(struct pool_session_limits, pool_rate), 1, 1000000, "poolRequestsPerMinute" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(ranges) / sizeof(ranges[0]); i++) {
		struct pool_definition d = pool_definition_default("aa");
		uint32_t *value = (uint32_t *)((char *)&d.limits + ranges[i].offset);

		d.memory_mib = 512;
		check_good(&d);
		*value = ranges[i].lowest;
		check_good(&d);
		*value = ranges[i].highest;
		check_good(&d);
		*value = ranges[i].highest + 1;
		check_bad(&d, ranges[i].name);
		*value = ranges[i].lowest - 1;
		if (*value)
			check_bad(&d, ranges[i].name);
	}
}

static void a_share_has_enough_cpus(void **state)
{
	struct pool_definition d = pool_definition_default("aa");

	(void)state;
	assert_int_equal(pool_definition_vcpus(&d), 1);
	d.cpu_milli = 250;
	assert_int_equal(pool_definition_vcpus(&d), 1);
	d.cpu_milli = 1001;
	assert_int_equal(pool_definition_vcpus(&d), 2);
	d.cpu_milli = 64000;
	assert_int_equal(pool_definition_vcpus(&d), 64);
}

static void only_the_time_that_the_lifecycle_uses_is_looked_at(void **state)
{
	struct pool_definition d = pool_definition_default("aa");

	(void)state;
	d.max_alive_s = 1;
	check_good(&d);
	d.lifecycle = POOL_MAX_LIFETIME;
	check_bad(&d, "maxAlivePeriodInSeconds must be from 60");
	d.max_alive_s = 60;
	d.cooldown_s = 1;
	check_good(&d);
}

static void the_least_cooldown_is_a_setting(void **state)
{
	const struct pool_limits low = { .min_cooldown_s = 2 };
	struct pool_definition d = pool_definition_default("aa");
	struct error err = { 0 };

	(void)state;
	d.cooldown_s = 2;
	check_bad(&d, "must be from 60 to 3600, not 2");
	assert_int_equal(pool_definition_check(&d, &low, &err), 0);
}

static void check_entry(const char *entry, const char *problem)
{
	struct egress_policy policy = { 0 };
	struct error err = { 0 };
	int rc = egress_policy_add(&policy, true, entry, &err);

	if (!problem && rc < 0)
		fail_msg("%s: %s", entry, err.text);
	if (problem && (rc == 0 || !strstr(err.text, problem)))
		fail_msg("%s: \"%s\" is not in \"%s\"", entry, problem, err.text);
}

static void entries_are_networks_and_names(void **state)
{
	static const char *const good[] = { "10.1.0.0/16", "0.0.0.0/0", "192.0.2.7",     "192.0.2.7/32",
					    "example.org", "localhost", "*.example.org", "xn--bcher-kva.example" };
	char name[300];

	(void)state;
	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++)
		check_entry(good[i], NULL);
	check_entry("10.1.0.1/16", "bits after its prefix");
	check_entry("10.1.0.0/33", "prefix from /0 to /32");
	check_entry("10.1.0.0/-1", "prefix");
	check_entry("10.1.0.0/", "prefix");
	check_entry("10.1.0/8", "no IPv4 network");
	check_entry("1.2.3", "no IPv4 network");
	check_entry("2001:db8::/32", "no IPv6");
	check_entry("", "neither");
	check_entry("*", "neither");
	check_entry("*.*.example.org", "neither");
	check_entry("a..b", "neither");
	check_entry("example.org.", "neither");
	check_entry("example.org\ndefault allow", "neither");
	check_entry("b\303\274cher.example", "neither");
	memset(name, 'a', sizeof(name));
	name[64] = '\0';
	check_entry(name, "neither");
	name[64] = 'a';
	name[299] = '\0';
	check_entry(name, "too long");
}

static void the_policy_becomes_lines_for_netd(void **state)
{
	struct egress_policy policy = { .is_denied_by_default = true }, copy = { 0 };
	char text[EGRESS_TEXT_SIZE], entry[32];
	struct error err = { 0 };

	(void)state;
	assert_int_equal(egress_policy_add(&policy, true, "Example.ORG", &err), 0);
	assert_int_equal(egress_policy_add(&policy, false, "10.0.0.0/8", &err), 0);
	egress_policy_format(&policy, text);
	assert_string_equal(text, "default deny\nallow example.org\ndeny 10.0.0.0/8\n");
	assert_int_equal(egress_policy_read_lines(&copy, policy.lines, &err), 0);
	assert_memory_equal(copy.lines, policy.lines, sizeof(copy.lines));
	egress_policy_clear(&policy, true);
	assert_string_equal(policy.lines, "deny 10.0.0.0/8\n");
	assert_int_equal(egress_policy_read_lines(&copy, "allow example.org\ndefault allow\n", &err), -EINVAL);
	assert_int_equal(egress_policy_read_lines(&copy, "allow 10.1.0.1/16\n", &err), -EINVAL);
	for (unsigned int i = 1; i < EGRESS_ENTRIES_MAX; i++) {
		snprintf(entry, sizeof(entry), "192.0.2.%u", i);
		assert_int_equal(egress_policy_add(&policy, false, entry, &err), 0);
	}
	assert_int_equal(egress_policy_add(&policy, false, "192.0.2.200", &err), -EINVAL);
	assert_non_null(strstr(err.text, "more than 64"));
	assert_int_equal(egress_policy_add(&policy, true, "192.0.2.200", &err), 0);
}

static void names_are_safe_to_put_in_paths(void **state)
{
	static const char *const good[] = { "aa", "Pool-1", "0a", "a--", "abcdefghijklmnopqrstuvwxyz" };
	static const char *const bad[] = { "", "a", "-a", "a/b", "..", "a.b", "a b", "a_b", "\303\244a", "a\n" };
	char name[100];

	(void)state;
	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++)
		assert_true(pool_name_is_valid(good[i]));
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_false(pool_name_is_valid(bad[i]));
	memset(name, 'x', sizeof(name));
	name[63] = '\0';
	assert_true(pool_name_is_valid(name));
	name[63] = 'x';
	name[64] = '\0';
	assert_false(pool_name_is_valid(name));
}

static void words_are_found_in_any_case(void **state)
{
	(void)state;
	for (int i = 0; i < POOL_N_CONTAINER_TYPES; i++)
		assert_int_equal(pool_container_type_from_name(pool_container_type_name((enum pool_container_type)i)),
				 i);
	for (int i = 0; i < POOL_N_LIFECYCLES; i++)
		assert_int_equal(pool_lifecycle_from_name(pool_lifecycle_name((enum pool_lifecycle)i)), i);
	for (int i = 0; i < POOL_N_NETWORKS; i++)
		assert_int_equal(pool_network_from_name(pool_network_name((enum pool_network)i)), i);
	assert_int_equal(pool_container_type_from_name("pythonlts"), POOL_PYTHON_LTS);
	assert_int_equal(pool_lifecycle_from_name("onContainerExit"), POOL_MAX_LIFETIME);
	assert_int_equal(pool_container_type_from_name("CSharpLTS"), -1);
	assert_int_equal(pool_network_from_name(""), -1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_default_is_allowed),
		cmocka_unit_test(numbers_have_limits_and_errors_name_them),
		cmocka_unit_test(limits_are_none_or_in_their_range),
		cmocka_unit_test(a_share_has_enough_cpus),
		cmocka_unit_test(only_the_time_that_the_lifecycle_uses_is_looked_at),
		cmocka_unit_test(the_least_cooldown_is_a_setting),
		cmocka_unit_test(entries_are_networks_and_names),
		cmocka_unit_test(the_policy_becomes_lines_for_netd),
		cmocka_unit_test(names_are_safe_to_put_in_paths),
		cmocka_unit_test(words_are_found_in_any_case),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
