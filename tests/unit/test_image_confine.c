#include "api/image/confine.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/landlock.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

enum { OUTSIDE = 1, INSIDE, RENAMED, PROGRAM, PRIVILEGES, REFUSED };

static bool is_there(void)
{
	return syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION) >= 2;
}

static bool is_forbidden(int result)
{
	return result < 0 && errno == EACCES;
}

/* The end of a process that was confined to the folder it is in: 0, or the first thing that is not as it should be. */
static int try_everything(void)
{
	struct error err;
	int fd;

	if (image_confine(".", &err) < 0)
		return REFUSED;
	fd = open("a/file", O_RDWR | O_CREAT | O_TRUNC, 0600);
	if (fd < 0 || write(fd, "x", 1) != 1 || open("a/file", O_RDONLY) < 0)
		return INSIDE;
	if (rename("a/file", "b/file") < 0 || unlink("b/file") < 0 || rmdir("b") < 0)
		return RENAMED;
	if (prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) != 1)
		return PRIVILEGES;
	if (!is_there())
		return 0;
	if (!is_forbidden(open("/etc/passwd", O_RDONLY)) ||
	    !is_forbidden(open("../escaped", O_WRONLY | O_CREAT, 0600)) || !is_forbidden(open("/dev/null", O_WRONLY)) ||
	    !is_forbidden(symlink("/", "a/link")))
		return OUTSIDE;
	return is_forbidden(execl("/bin/true", "true", NULL)) ? 0 : PROGRAM;
}

static void only_the_folder_is_left(void **state)
{
	char folder[] = "/tmp/hearth-confine-XXXXXX";
	int status;
	pid_t pid;

	(void)state;
	assert_non_null(mkdtemp(folder));
	pid = fork();
	if (pid == 0)
		_exit(chdir(folder) || mkdir("a", 0700) || mkdir("b", 0700) ? REFUSED : try_everything());
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(chdir(folder) | rmdir("a") | chdir("/") | rmdir(folder), 0);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
}

static void a_folder_that_is_not_there(void **state)
{
	struct error err = { 0 };

	(void)state;
	if (!is_there()) {
		assert_int_equal(image_confine("/nowhere", &err), 0);
		return;
	}
	assert_true(image_confine("/nowhere", &err) < 0);
	assert_string_equal(err.text, "cannot keep the import to /nowhere: No such file or directory");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(only_the_folder_is_left),
		cmocka_unit_test(a_folder_that_is_not_there),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
