#include "vmm/network/policy.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <string.h>

static struct policy policy;

static int parse(const char *text)
{
	struct error err = { 0 };
	const int status = policy_parse(&policy, text, strlen(text), &err);

	policy.n_host_addresses = 0;
	assert_true((status < 0) == (err.code != 0));
	return status;
}

static bool reaches(uint32_t a, uint32_t b, uint32_t c, uint32_t d)
{
	return policy_address(&policy, a << 24 | b << 16 | c << 8 | d, false).is_allowed;
}

static void what_is_no_policy_is_refused(void **state)
{
	static const char *const wrong[] = {
		"",
		"allow 1.2.3.4\n",
		"default maybe\n",
		"default allow\ndefault deny\n",
		"default allow\nallow\n",
		"default allow\nallow a b\n",
		"default allow\nallow 1.2.3.4/33\n",
		"default allow\nallow 1.2.3.4/\n",
		"default allow\nallow 1.2.3.4/8\n",
		"default allow\nallow 1.2.3\n",
		"default allow\nallow ::1\n",
		"default allow\nallow a..b\n",
		"default allow\nallow *.\n",
		"default allow\nallow *\n",
		"default allow\nallow a*.b\n",
		"default allow\nallow b.\n",
		"default allow\npermit b\n",
		"default allow\nallow 1.2.3.4/-1\n",
		"default allow\nallow 1.2.3.4/+1\n",
	};
	char text[1024] = "default allow\nallow ";

	(void)state;
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
		assert_true(parse(wrong[i]) < 0);
	memset(text + 20, 'a', 64);
	assert_true(parse(text) < 0); /* a label that is too long */
	memset(text + 20, 'a', 900);
	assert_true(parse(text) < 0);
	assert_int_equal(parse("# a note\n\ndefault  allow\r\n allow\texample.org\nallow 0.0.0.0/0"), 0);
}

static void too_many_entries_are_refused(void **state)
{
	static char text[NETWORK_POLICY_NETWORKS_MAX * 32];
	size_t size = (size_t)sprintf(text, "default allow\n");

	(void)state;
	for (int i = 0; i < NETWORK_POLICY_NETWORKS_MAX; i++)
		size += (size_t)sprintf(text + size, "deny 1.2.%d.0/24\n", i);
	assert_int_equal(parse(text), 0);
	sprintf(text + size, "deny 1.3.0.0/24\n");
	assert_true(parse(text) < 0);
}

static void closed_ranges_need_a_network_within_them(void **state)
{
	(void)state;
	assert_int_equal(parse("default allow\nallow 0.0.0.0/0\nallow 192.168.1.0/24\nallow 8.0.0.0/5\n"), 0);
	assert_true(reaches(8, 8, 8, 8));
	assert_true(reaches(192, 168, 1, 7));
	assert_false(reaches(192, 168, 2, 7));
	assert_false(reaches(10, 0, 0, 1)); /* 8.0.0.0/5 holds it, and is wider */
	assert_false(reaches(127, 0, 0, 1));
	assert_false(reaches(169, 254, 169, 254));
	assert_false(reaches(168, 63, 129, 16));
	assert_true(reaches(168, 63, 129, 17));
	assert_false(reaches(172, 31, 255, 255));
	assert_true(reaches(172, 32, 0, 0));
	assert_false(reaches(100, 127, 0, 1));
	assert_false(reaches(224, 0, 0, 1));
	assert_false(reaches(255, 255, 255, 255));
	assert_false(reaches(0, 0, 0, 0));
	/* Nor does a name. */
	assert_false(policy_address(&policy, 0x0a000001, true).is_allowed);
}

static void the_longest_prefix_decides(void **state)
{
	(void)state;
	assert_int_equal(
		parse("default deny\nallow 8.0.0.0/8\ndeny 8.8.0.0/16\nallow 8.8.8.8\ndeny 9.9.9.9\nallow 9.9.9.9\n"),
		0);
	assert_true(reaches(8, 1, 1, 1));
	assert_false(reaches(8, 8, 1, 1));
	assert_true(reaches(8, 8, 8, 8));
	assert_false(reaches(9, 9, 9, 9));
	assert_false(reaches(7, 1, 1, 1));
	assert_true(policy_address(&policy, 0x07010101, true).is_allowed);
	assert_false(policy_address(&policy, 0x08080101, true).is_allowed); /* denied, whatever its name */
}

static void an_address_of_the_host_needs_itself(void **state)
{
	(void)state;
	assert_int_equal(parse("default allow\nallow 5.6.7.0/24\nallow 5.6.8.8/32\n"), 0);
	policy.host_addresses[0] = 0x05060707;
	policy.host_addresses[1] = 0x05060808;
	policy.n_host_addresses = 2;
	assert_int_equal(policy_address(&policy, 0x05060707, true).reason, REASON_HOST);
	assert_true(reaches(5, 6, 7, 8));
	assert_true(reaches(5, 6, 8, 8));
}

static void names(void **state)
{
	(void)state;
	assert_int_equal(parse("default deny\nallow *.Example.org\ndeny bad.example.org\nallow example.com\n"), 0);
	assert_true(policy_name(&policy, "www.example.org").is_allowed);
	assert_true(policy_name(&policy, "a.b.example.org").is_allowed);
	assert_false(policy_name(&policy, "example.org").is_allowed);
	assert_false(policy_name(&policy, "notexample.org").is_allowed);
	assert_false(policy_name(&policy, ".example.org").is_allowed);
	assert_false(policy_name(&policy, "bad.example.org").is_allowed);
	assert_true(policy_name(&policy, "worse.bad.example.org").is_allowed);
	assert_true(policy_name(&policy, "example.com").is_allowed);
	assert_int_equal(policy_name(&policy, "www.example.com").reason, REASON_DEFAULT);
	assert_false(policy_name(&policy, "").is_allowed);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_no_policy_is_refused),
		cmocka_unit_test(too_many_entries_are_refused),
		cmocka_unit_test(closed_ranges_need_a_network_within_them),
		cmocka_unit_test(the_longest_prefix_decides),
		cmocka_unit_test(an_address_of_the_host_needs_itself),
		cmocka_unit_test(names),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
