#include "common/error.h"
#include "common/log.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

static void wrapping_puts_the_context_first_and_keeps_the_code(void **state)
{
	struct error err;

	(void)state;
	assert_int_equal(error_set(&err, ENOENT, "no file %s", "a"), -ENOENT);
	assert_int_equal(error_wrap(&err, "template %d", 7), -ENOENT);
	assert_string_equal(err.text, "template 7: no file a");
	assert_int_equal(err.code, ENOENT);
}

static void texts_that_are_too_long_are_cut(void **state)
{
	char longer[2000];
	struct error err;

	(void)state;
	memset(longer, 'x', sizeof(longer) - 1);
	longer[sizeof(longer) - 1] = '\0';
	error_set(&err, EIO, "%s", longer);
	error_wrap(&err, "%s", longer);
	assert_int_equal(strlen(err.text), sizeof(err.text) - 1);
}

static void nobody_has_to_take_the_error(void **state)
{
	(void)state;
	assert_int_equal(error_set(NULL, EIO, "lost"), -EIO);
	assert_true(error_wrap(NULL, "lost") < 0);
}

/* Runs log_message() with stderr in a pipe; returns what came out. */
static const char *logged(enum log_level level, const char *text)
{
	static char line[4096];
	int ends[2];
	int saved = dup(STDERR_FILENO);
	ssize_t length;

	assert_int_equal(pipe(ends), 0);
	dup2(ends[1], STDERR_FILENO);
	log_message(level, "%s", text);
	dup2(saved, STDERR_FILENO);
	close(saved);
	close(ends[1]);
	length = read(ends[0], line, sizeof(line) - 1);
	close(ends[0]);
	assert_true(length >= 0);
	line[length] = '\0';
	return line;
}

static void a_quoted_text_cannot_forge_a_line_or_drive_a_terminal(void **state)
{
	(void)state;
	log_identity("test");
	assert_string_equal(logged(LOG_WARN, "a\nhearthd: error: b\033[2J"), "test: warn: a hearthd: error: b [2J\n");
}

static void a_long_message_is_one_cut_line(void **state)
{
	char longer[5000];
	const char *line;

	(void)state;
	memset(longer, 'x', sizeof(longer) - 1);
	longer[sizeof(longer) - 1] = '\0';
	line = logged(LOG_ERROR, longer);
	assert_true(strlen(line) < 1100);
	assert_ptr_equal(strchr(line, '\n'), line + strlen(line) - 1);
}

static void the_threshold_drops_what_lies_above_it(void **state)
{
	(void)state;
	log_threshold(LOG_WARN);
	assert_string_equal(logged(LOG_INFO, "quiet"), "");
	log_threshold(LOG_INFO);
	assert_int_equal(log_level_from_name("debug"), LOG_DEBUG);
	assert_int_equal(log_level_from_name("loud"), -EINVAL);
}

static void a_place_that_logs_too_often_is_silenced(void **state)
{
	struct log_limit limit = { 0 };
	int allowed = 0;

	(void)state;
	for (int i = 0; i < 1000; i++)
		allowed += log_limited(&limit);
	assert_int_equal(allowed, 10);
	assert_int_equal(limit.dropped, 990);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(wrapping_puts_the_context_first_and_keeps_the_code),
		cmocka_unit_test(texts_that_are_too_long_are_cut),
		cmocka_unit_test(nobody_has_to_take_the_error),
		cmocka_unit_test(a_quoted_text_cannot_forge_a_line_or_drive_a_terminal),
		cmocka_unit_test(a_long_message_is_one_cut_line),
		cmocka_unit_test(the_threshold_drops_what_lies_above_it),
		cmocka_unit_test(a_place_that_logs_too_often_is_silenced),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
