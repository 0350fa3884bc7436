/* A microVM's directory goes with all that may be in it, whatever hearthd runs out of. */
#include "api/microvm_directory.h"

#include "common/agent_protocol.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

static char runtime[] = "/tmp/test-directory-XXXXXX";
static struct microvm_directory directory;
static char id[13];

static int set_up(void **state)
{
	struct error err = { 0 };

	(void)state;
	strcpy(runtime + strlen(runtime) - 6, "XXXXXX");
	assert_non_null(mkdtemp(runtime));
	assert_int_equal(microvm_directory_create(&directory, runtime, id, &err), 0);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	return rmdir(runtime); /* nothing was left in it */
}

static void make_file(const char *path)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);

	assert_true(fd >= 0);
	close(fd);
}

/* All that a microVM with a network and an identity has. */
static void fill(void)
{
	char ready[MICROVM_SOCKET_SIZE], tokens[MICROVM_SOCKET_SIZE];
	const char *const files[] = {
		directory.vsock, directory.console,        directory.control, directory.session, ready,
		tokens,          directory.network_policy,
	};

	microvm_directory_host_port(&directory, AGENT_READY_PORT, ready);
	microvm_directory_host_port(&directory, AGENT_TOKEN_PORT, tokens);
	for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++)
		make_file(files[i]);
	assert_int_equal(pid_file_write(directory.pid, 4711), 0);
	assert_int_equal(pid_file_write(directory.network_pid, 4712), 0);
	assert_int_equal(mkfifo(directory.network_log, 0600), 0);
}

static void it_goes_with_what_is_in_it(void **state)
{
	(void)state;
	fill();
	microvm_directory_remove(&directory);
	assert_string_equal(directory.path, "");
}

static void it_goes_where_no_folder_can_be_read(void **state)
{
	struct rlimit usual, none;

	(void)state;
	fill();
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &usual), 0);
	none = usual;
	none.rlim_cur = 0;
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
	microvm_directory_remove(&directory);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &usual), 0);
}

static void process_ids_are_read_as_they_were_written(void **state)
{
	(void)state;
	assert_int_equal(pid_file_read(directory.pid), -ENOENT);
	assert_int_equal(pid_file_write(directory.pid, 1234567), 0);
	assert_int_equal(pid_file_write(directory.pid, 42), 0);
	assert_int_equal(pid_file_read(directory.pid), 42);
	assert_int_equal(truncate(directory.pid, 0), 0);
	assert_int_equal(pid_file_read(directory.pid), -EINVAL);
	microvm_directory_remove(&directory);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(it_goes_with_what_is_in_it, set_up, tear_down),
		cmocka_unit_test_setup_teardown(it_goes_where_no_folder_can_be_read, set_up, tear_down),
		cmocka_unit_test_setup_teardown(process_ids_are_read_as_they_were_written, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
