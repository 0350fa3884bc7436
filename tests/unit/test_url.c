#include "api/url.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static void segments_are_decoded_once_and_empty_ones_dropped(void **state)
{
	struct url u;

	(void)state;
	assert_int_equal(url_split(&u, "//code//execute/?x=1"), 0);
	assert_int_equal(u.n_segments, 2);
	assert_string_equal(u.segments[0], "code");
	assert_string_equal(u.segments[1], "execute");
	url_fini(&u);

	assert_int_equal(url_split(&u, "/identifier/a%2Fb%2541/x+y"), 0);
	assert_int_equal(u.n_segments, 3);
	assert_string_equal(u.segments[1], "a/b%41");
	assert_string_equal(u.segments[2], "x+y");
	url_fini(&u);
}

static void a_query_value_may_come_encoded_raw_or_with_plus(void **state)
{
	struct url u;

	(void)state;
	assert_int_equal(url_split(&u, "/x?identifier=a%7Cb+c&API-Version=2024&raw=100%|&empty=&flag&=v"), 0);
	assert_string_equal(url_parameter(&u, "identifier"), "a|b c");
	assert_string_equal(url_parameter(&u, "api-version"), "2024");
	assert_string_equal(url_parameter(&u, "raw"), "100%|");
	assert_string_equal(url_parameter(&u, "empty"), "");
	assert_string_equal(url_parameter(&u, "flag"), "");
	assert_null(url_parameter(&u, "none"));
	url_fini(&u);
}

static void the_first_of_two_parameters_counts(void **state)
{
	struct url u;

	(void)state;
	assert_int_equal(url_split(&u, "/x?a=1&a=2"), 0);
	assert_string_equal(url_parameter(&u, "a"), "1");
	url_fini(&u);
}

static void the_absolute_form_of_proxies_is_understood(void **state)
{
	struct url u;

	(void)state;
	assert_int_equal(url_split(&u, "http://host:80/a/b?c=d#e"), 0);
	assert_int_equal(u.n_segments, 2);
	assert_string_equal(url_parameter(&u, "c"), "d");
	url_fini(&u);
	assert_int_equal(url_split(&u, "https://host"), 0);
	assert_int_equal(u.n_segments, 0);
	url_fini(&u);
}

static void an_encoded_nul_is_refused(void **state)
{
	struct url u;

	(void)state;
	assert_int_equal(url_split(&u, "/a%00b"), -EINVAL);
	url_fini(&u);
	assert_int_equal(url_split(&u, "/a?b=%00"), -EINVAL);
	url_fini(&u);
}

static void too_many_parts_are_refused(void **state)
{
	char target[512] = "";
	struct url u;

	(void)state;
	for (int i = 0; i < URL_SEGMENTS_MAX; i++)
		strcat(target, "/a");
	assert_int_equal(url_split(&u, target), 0);
	assert_int_equal(u.n_segments, URL_SEGMENTS_MAX);
	url_fini(&u);
	strcat(target, "/a");
	assert_int_equal(url_split(&u, target), -E2BIG);
	url_fini(&u);
}

static void what_is_encoded_decodes_to_the_same(void **state)
{
	const char *text = "a b/c%d?e=f&g+h\303\244~-._";
	struct buffer out = { 0 };
	struct url u;

	(void)state;
	buffer_put_text(&out, "/");
	url_put_encoded(&out, text);
	buffer_put_text(&out, "?q=");
	url_put_encoded(&out, text);
	buffer_put(&out, "", 1);
	assert_string_equal(out.data, "/a%20b%2Fc%25d%3Fe%3Df%26g%2Bh%C3%A4~-._?q="
				      "a%20b%2Fc%25d%3Fe%3Df%26g%2Bh%C3%A4~-._");
	assert_int_equal(url_split(&u, out.data), 0);
	assert_string_equal(u.segments[0], text);
	assert_string_equal(url_parameter(&u, "q"), text);
	url_fini(&u);
	buffer_fini(&out);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(segments_are_decoded_once_and_empty_ones_dropped),
		cmocka_unit_test(a_query_value_may_come_encoded_raw_or_with_plus),
		cmocka_unit_test(the_first_of_two_parameters_counts),
		cmocka_unit_test(the_absolute_form_of_proxies_is_understood),
		cmocka_unit_test(an_encoded_nul_is_refused),
		cmocka_unit_test(too_many_parts_are_refused),
		cmocka_unit_test(what_is_encoded_decodes_to_the_same),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
