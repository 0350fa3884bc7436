#include "api/cli/options.h"
#include "api/cli/exit_status.h"
#include "tests/unit/options_helper.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

static const struct option_spec specs[] = {
	OPTION(OPTION_TEXT, 'n', "name", pool, "NAME", "a name"),
	OPTION(OPTION_TEXT_OR_EMPTY, 0, "egress-allow", egress_allow, "LIST", "names; '': none"),
	OPTION(OPTION_NUMBER, 0, "max-sessions", max_sessions, "N", "a number"),
	OPTION(OPTION_TEXT, 0, "pools", name, "NAME,…", "several names"),
	OPTION(OPTION_SWITCH, 'y', "yes", yes, NULL, "a switch"),
	OPTION_WITHOUT_EFFECT(OPTION_IGNORED_SWITCH, 0, "no-wait", NULL),
	OPTION(OPTION_WORDS, 's', "secrets", secrets, "NAME=VALUE...", "some words"),
	OPTION_WITHOUT_EFFECT(OPTION_REFUSED, 0, "image", "there are no images"),
	COMMON_OPTIONS,
};

static struct options options;

static int parse(const char *line, struct error *err)
{
	return parse_line(&options, specs, 2, line, err);
}

static void check_good(const char *line)
{
	struct error err = { 0 };

	if (parse(line, &err) < 0)
		fail_msg("%s: %s", line, err.text);
}

static void check_bad(const char *line, const char *part)
{
	struct error err = { 0 };

	if (parse(line, &err) >= 0)
		fail_msg("taken: %s", line);
	assert_int_equal(err.code, STATUS_USAGE);
	if (!strstr(err.text, part))
		fail_msg("\"%s\" is not in \"%s\"", part, err.text);
}

static void nothing_given_is_nothing_set(void **state)
{
	(void)state;
	check_good("");
	assert_null(options.pool);
	assert_int_equal(options.max_sessions, OPTIONS_UNSET);
	assert_int_equal(options.n_arguments, 0);
	assert_false(options.yes);
}

static void all_ways_to_write_an_option_are_understood(void **state)
{
	static const char *const lines[] = { "--name abc", "--name=abc", "-n abc", "-nabc" };

	(void)state;
	for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
		check_good(lines[i]);
		assert_string_equal(options.pool, "abc");
	}
	check_good("--max-sessions 0 -y --output=json");
	assert_int_equal(options.max_sessions, 0);
	assert_true(options.yes);
	assert_string_equal(options.output, "json");
	check_good("--name -y");
	assert_string_equal(options.pool, "-y");
	assert_false(options.yes);
}

static void arguments_stand_anywhere(void **state)
{
	(void)state;
	check_good("one -y two");
	assert_int_equal(options.n_arguments, 2);
	assert_string_equal(options.arguments[0], "one");
	assert_string_equal(options.arguments[1], "two");
	assert_true(options.yes);
	check_good("-- -y --name");
	assert_int_equal(options.n_arguments, 2);
	assert_string_equal(options.arguments[0], "-y");
	assert_false(options.yes);
	check_good("-");
	assert_string_equal(options.arguments[0], "-");
	check_bad("one two three", "'three' is one argument too many");
}

static void options_of_az_without_a_meaning_are_taken(void **state)
{
	(void)state;
	check_good("-g group --resource-group group --subscription s --no-wait name");
	assert_int_equal(options.n_arguments, 1);
}

static void an_empty_text_is_taken_where_it_means_something(void **state)
{
	(void)state;
	check_good("--egress-allow ''");
	assert_string_equal(options.egress_allow, "");
	check_good("--egress-allow=");
	assert_string_equal(options.egress_allow, "");
	check_good("");
	assert_null(options.egress_allow);
	check_bad("--egress-allow", "--egress-allow needs a value");
}

static void several_words_follow_an_option_that_takes_them(void **state)
{
	static const char *const lines[] = { "--secrets a b -y name", "-s a b -y name", "name -sa --secrets=b -y",
					     "--secrets a --secrets b -y name", "name -y --secrets a b" };

	(void)state;
	for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
		check_good(lines[i]);
		assert_int_equal(options.secrets.n, 2);
		assert_string_equal(options.secrets.words[0], "a");
		assert_string_equal(options.secrets.words[1], "b");
		assert_true(options.yes);
		assert_int_equal(options.n_arguments, 1);
		assert_string_equal(options.arguments[0], "name");
	}
	check_good("--secrets a - -- b");
	assert_int_equal(options.secrets.n, 2);
	assert_string_equal(options.arguments[0], "b");
	check_good("--secrets ''");
	assert_int_equal(options.secrets.n, 1);
	check_good("--secrets=-x y");
	assert_int_equal(options.secrets.n, 2);
	assert_string_equal(options.secrets.words[0], "-x");
	assert_int_equal(options.n_arguments, 0);
	check_bad("--secrets", "--secrets needs a value: '' for none");
	check_bad("--secrets --yes", "--secrets=WORD");
	check_bad("-s -- a", "--secrets needs a value");
}

static void the_words_of_an_option_have_a_bound(void **state)
{
	char *words[OPTIONS_WORDS_MAX + 4] = { "command", "--secrets" };
	struct error err = { 0 };

	(void)state;
	for (size_t i = 0; i < OPTIONS_WORDS_MAX; i++)
		words[2 + i] = "a=b";
	assert_int_equal(options_parse(&options, specs, 2, OPTIONS_WORDS_MAX + 2, words, &err), 0);
	assert_int_equal(options.secrets.n, OPTIONS_WORDS_MAX);
	words[2 + OPTIONS_WORDS_MAX] = "one-more";
	assert_true(options_parse(&options, specs, 2, OPTIONS_WORDS_MAX + 3, words, &err) < 0);
	assert_non_null(strstr(err.text, "--secrets takes at most 128 words"));
}

static void what_cannot_be_used_says_why(void **state)
{
	(void)state;
	check_bad("--image x", "--image cannot be used: there are no images");
	check_bad("--nam x", "there is no option --nam");
	check_bad("--names x", "there is no option --names");
	check_bad("-x", "there is no option -x");
	check_bad("--name", "--name needs a value");
	check_bad("-n", "-n needs a value");
	check_bad("--name ''", "not empty");
	check_bad("--name=", "not empty");
	check_bad("--yes=no", "takes no value");
	check_bad("--max-sessions many", "takes a number, not 'many'");
	check_bad("--max-sessions 10x", "takes a number");
	check_bad("--max-sessions=", "takes a number");
	check_bad("--max-sessions -1", "takes a number");
	check_bad("--max-sessions 99999999999999999999", "takes a number");
	check_bad("-o yaml", "it is table, json, jsonc, tsv or none");
	check_bad("--query name", "jq");
	check_bad("--query", "jq");
}

static void the_help_shows_what_has_an_effect(void **state)
{
	char *text = NULL;
	size_t size;
	FILE *out = open_memstream(&text, &size);

	(void)state;
	options_print_help(specs, out);
	fclose(out);
	assert_non_null(strstr(text, "  -n, --name NAME                a name\n"));
	assert_non_null(strstr(text, "      --max-sessions N           a number\n"));
	assert_non_null(strstr(text, "      --pools NAME,…             several names\n"));
	assert_non_null(strstr(text, "  -y, --yes                      a switch\n"));
	assert_null(strstr(text, "--image"));
	assert_null(strstr(text, "--no-wait"));
	assert_null(strstr(text, "--resource-group"));
	free(text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(nothing_given_is_nothing_set),
		cmocka_unit_test(all_ways_to_write_an_option_are_understood),
		cmocka_unit_test(arguments_stand_anywhere),
		cmocka_unit_test(options_of_az_without_a_meaning_are_taken),
		cmocka_unit_test(an_empty_text_is_taken_where_it_means_something),
		cmocka_unit_test(several_words_follow_an_option_that_takes_them),
		cmocka_unit_test(the_words_of_an_option_have_a_bound),
		cmocka_unit_test(what_cannot_be_used_says_why),
		cmocka_unit_test(the_help_shows_what_has_an_effect),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
