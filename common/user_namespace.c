#include "common/user_namespace.h"

#include "common/cleanup.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static int write_file(const char *path, const char *text)
{
	AUTO_FD int fd = open(path, O_WRONLY | O_CLOEXEC);
	const ssize_t size = (ssize_t)strlen(text);

	return fd >= 0 && write(fd, text, (size_t)size) == size ? 0 : -errno;
}

int user_namespace_map(uid_t user, gid_t group)
{
	char line[32];
	/* Who has no rights outside may map the group only after giving up setgroups(). */
	int status = write_file("/proc/self/setgroups", "deny");

	if (status == 0) {
		snprintf(line, sizeof(line), "0 %u 1", group);
		status = write_file("/proc/self/gid_map", line);
	}
	if (status == 0) {
		snprintf(line, sizeof(line), "0 %u 1", user);
		status = write_file("/proc/self/uid_map", line);
	}
	return status;
}
