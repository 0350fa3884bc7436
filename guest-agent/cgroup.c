#include "cgroup.h"

#include "common/cleanup.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/sysinfo.h>
#include <unistd.h>

#define CGROUP_ROOT "/sys/fs/cgroup"
#define USER_GROUP  CGROUP_ROOT "/user"

enum {
	INTERPRETER_PIDS_MAX = 896, /* unless the host wants fewer */
	SPARE_PIDS = 128,           /* one that takes all of its own leaves the other enough to start */
	RESERVE_MIN_BYTES = 24 << 20,
};

static bool available;
static uint32_t interpreter_pids_max = INTERPRETER_PIDS_MAX;

static int write_at(int directory_fd, const char *path, const char *text)
{
	AUTO_FD int fd = openat(directory_fd, path, O_WRONLY | O_CLOEXEC);

	if (fd < 0 || write(fd, text, strlen(text)) < 0)
		return -errno;
	return 0;
}

/* The number after `key` in a file of "key value" lines, 0 if it is not there. /proc/vmstat has 5 KiB. */
static uint64_t read_counter(int directory_fd, const char *path, const char *key)
{
	AUTO_FD int fd = openat(directory_fd, path, O_RDONLY | O_CLOEXEC);
	char text[16384], line_start[64];
	const char *found;
	size_t size = 1;
	ssize_t count;

	if (fd < 0)
		return 0;
	text[0] = '\n';
	while (size < sizeof(text) - 1 && (count = read(fd, text + size, sizeof(text) - 1 - size)) > 0)
		size += (size_t)count;
	text[size] = '\0';
	snprintf(line_start, sizeof(line_start), "\n%s ", key);
	found = strstr(text, line_start);
	return found ? strtoull(found + strlen(line_start), NULL, 10) : 0;
}

static void limit_memory(void)
{
	struct sysinfo info;
	uint64_t total, reserve;
	char text[32];

	if (sysinfo(&info) < 0)
		return;
	total = (uint64_t)info.totalram * info.mem_unit;
	reserve = total / 16 > RESERVE_MIN_BYTES ? total / 16 : RESERVE_MIN_BYTES;
	if (total < 2 * reserve)
		return;
	snprintf(text, sizeof(text), "%llu", (unsigned long long)(total - reserve));
	write_at(AT_FDCWD, USER_GROUP "/memory.max", text);
}

int cgroup_setup(void)
{
	char text[16];

	/* nsdelegate: who is root in a cgroup namespace, as a container may be, does not set the limits of that very group. */
	if (mount("cgroup2", CGROUP_ROOT, "cgroup2", MS_NOSUID | MS_NODEV | MS_NOEXEC, "nsdelegate") < 0)
		return -errno;
	if (mkdir(USER_GROUP, 0755) < 0)
		return -errno;
	available = true;
	/* A controller that the kernel lacks costs its limit, not the groups. */
	write_at(AT_FDCWD, CGROUP_ROOT "/cgroup.subtree_control", "+memory");
	write_at(AT_FDCWD, CGROUP_ROOT "/cgroup.subtree_control", "+pids");
	write_at(AT_FDCWD, USER_GROUP "/cgroup.subtree_control", "+memory");
	write_at(AT_FDCWD, USER_GROUP "/cgroup.subtree_control", "+pids");
	snprintf(text, sizeof(text), "%d", INTERPRETER_PIDS_MAX + SPARE_PIDS);
	write_at(AT_FDCWD, USER_GROUP "/pids.max", text);
	limit_memory();
	return 0;
}

struct cgroup cgroup_open(const char *name)
{
	struct cgroup cgroup = { .directory_fd = -1 };
	char text[128];

	if (!available)
		return cgroup;
	snprintf(text, sizeof(text), USER_GROUP "/%s", name);
	if (mkdir(text, 0755) < 0 && errno != EEXIST)
		return cgroup;
	cgroup.directory_fd = open(text, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	snprintf(text, sizeof(text), "%u", interpreter_pids_max);
	if (cgroup.directory_fd >= 0)
		write_at(cgroup.directory_fd, "pids.max", text);
	return cgroup;
}

void cgroup_limit_processes(uint32_t max)
{
	DIR *groups = available ? opendir(USER_GROUP) : NULL;
	struct dirent *entry;
	char text[16], path[sizeof(entry->d_name) + 16];

	interpreter_pids_max = max < INTERPRETER_PIDS_MAX ? max : INTERPRETER_PIDS_MAX;
	if (!groups)
		return;
	snprintf(text, sizeof(text), "%u", interpreter_pids_max);
	while ((entry = readdir(groups))) {
		if (entry->d_type != DT_DIR || entry->d_name[0] == '.')
			continue;
		snprintf(path, sizeof(path), "%s/pids.max", entry->d_name);
		write_at(dirfd(groups), path, text);
	}
	snprintf(text, sizeof(text), "%u", interpreter_pids_max + SPARE_PIDS);
	write_at(dirfd(groups), "pids.max", text);
	closedir(groups);
}

void cgroup_kill(const struct cgroup *cgroup)
{
	if (cgroup->directory_fd >= 0)
		write_at(cgroup->directory_fd, "cgroup.kill", "1");
}

/* One pass over its processes. The number of those that were sent SIGKILL. */
static int kill_listed(const struct cgroup *cgroup, pid_t spared)
{
	AUTO_FD int fd = openat(cgroup->directory_fd, "cgroup.procs", O_RDONLY | O_CLOEXEC);
	char text[16384];
	ssize_t size = fd < 0 ? 0 : read(fd, text, sizeof(text) - 1);
	int count = 0;

	text[size > 0 ? size : 0] = '\0';
	for (char *at = text, *end; *at; at = *end ? end + 1 : end) {
		pid_t pid = (pid_t)strtol(at, &end, 10);

		if (end == at)
			break;
		/* A number that was cut at the end of the buffer must not be taken for another one. */
		if (pid > 1 && pid != spared && *end == '\n' && kill(pid, SIGKILL) == 0)
			count++;
	}
	return count;
}

void cgroup_kill_others(const struct cgroup *cgroup, pid_t spared)
{
	if (cgroup->directory_fd < 0)
		return;
	/* Frozen processes do not fork while they are listed, and a child of one that does is born frozen. */
	write_at(cgroup->directory_fd, "cgroup.freeze", "1");
	for (int passes = 0; passes < 64 && kill_listed(cgroup, spared) > 0; passes++)
		;
	write_at(cgroup->directory_fd, "cgroup.freeze", "0");
}

bool cgroup_has_processes(const struct cgroup *cgroup)
{
	return cgroup->directory_fd >= 0 && read_counter(cgroup->directory_fd, "cgroup.events", "populated") > 0;
}

uint64_t cgroup_refused_forks(const struct cgroup *cgroup)
{
	return cgroup->directory_fd < 0 ? 0 : read_counter(cgroup->directory_fd, "pids.events", "max");
}

uint64_t cgroup_oom_kills(const struct cgroup *cgroup)
{
	if (cgroup->directory_fd < 0)
		return read_counter(AT_FDCWD, "/proc/vmstat", "oom_kill");
	return read_counter(cgroup->directory_fd, "memory.events", "oom_kill");
}
