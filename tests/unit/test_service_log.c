#include "api/service_log.h"
#include "common/log.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static char folder[] = "/tmp/test-log-XXXXXX";
static char file[64], moved[64];

static const char *read_file(const char *path)
{
	static char text[4096];
	int fd = open(path, O_RDONLY);
	ssize_t n;

	assert_true(fd >= 0);
	n = read(fd, text, sizeof(text) - 1);
	close(fd);
	assert_true(n >= 0);
	text[n] = '\0';
	return text;
}

static int set_up(void **state)
{
	(void)state;
	log_identity("test");
	if (!mkdtemp(folder))
		return -1;
	snprintf(file, sizeof(file), "%s/log", folder);
	snprintf(moved, sizeof(moved), "%s/log.1", folder);
	return 0;
}

static int clear(void **state)
{
	(void)state;
	service_log_close();
	unlink(file);
	unlink(moved);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	return rmdir(folder);
}

static void text_in_a_file_has_its_time(void **state)
{
	struct error err;
	const char *text;

	(void)state;
	assert_int_equal(service_log_open(file, false, &err), 0);
	log_info("pool=p is\ndeleted");
	text = read_file(file);
	assert_int_equal(text[10], 'T');
	assert_string_equal(strchr(text, ' '), " test: info: pool=p is deleted\n");
}

/* What is written between the move and the order goes to the old file, as logrotate expects. */
static void a_file_that_was_moved_is_opened_anew(void **state)
{
	struct error err;

	(void)state;
	assert_int_equal(service_log_open(file, true, &err), 0);
	log_info("one");
	assert_int_equal(rename(file, moved), 0);
	log_info("two");
	service_log_reopen();
	log_info("three");
	assert_non_null(strstr(read_file(moved), "\"message\":\"one\"}\n{"));
	assert_non_null(strstr(read_file(moved), "\"message\":\"two\"}\n"));
	assert_null(strstr(read_file(moved), "three"));
	assert_null(strstr(read_file(file), "two"));
	assert_non_null(strstr(read_file(file), "\"message\":\"three\"}\n"));
}

static void a_file_that_cannot_be_opened_anew_is_gone_on_with(void **state)
{
	struct error err;

	(void)state;
	assert_int_equal(service_log_open(file, true, &err), 0);
	assert_int_equal(rename(file, moved), 0);
	assert_int_equal(mkdir(file, 0700), 0);
	service_log_reopen();
	log_info("after");
	assert_non_null(strstr(read_file(moved), "cannot be opened again"));
	assert_non_null(strstr(read_file(moved), "after"));
	assert_int_equal(rmdir(file), 0);
}

static void a_file_that_cannot_be_made_is_an_error(void **state)
{
	struct error err;

	(void)state;
	assert_int_equal(service_log_open("/nonexistent/log", true, &err), -ENOENT);
	assert_non_null(strstr(err.text, "/nonexistent/log"));
}

static void the_file_is_not_for_others_and_not_for_children(void **state)
{
	struct error err;
	struct stat st;
	int fd = open("/dev/null", O_RDONLY); /* the number that the log gets */

	(void)state;
	close(fd);
	assert_int_equal(service_log_open(file, true, &err), 0);
	assert_int_equal(stat(file, &st), 0);
	assert_int_equal(st.st_mode & 0007, 0);
	assert_int_equal(fcntl(fd, F_GETFD), FD_CLOEXEC);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(text_in_a_file_has_its_time, clear),
		cmocka_unit_test_teardown(a_file_that_was_moved_is_opened_anew, clear),
		cmocka_unit_test_teardown(a_file_that_cannot_be_opened_anew_is_gone_on_with, clear),
		cmocka_unit_test_teardown(a_file_that_cannot_be_made_is_an_error, clear),
		cmocka_unit_test_teardown(the_file_is_not_for_others_and_not_for_children, clear),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
