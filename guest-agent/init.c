#include "init.h"

#include "cgroup.h"
#include "machine.h"
#include "network.h"
#include "common/cleanup.h"
#include "common/log.h"
#include "common/pivot_root.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/sysinfo.h>
#include <unistd.h>

/* The tmpfs that holds all that is written, and what is made in it. It is hidden once the root is in place. */
#define SCRATCH "/mnt"

#define HOST_NAME "hearth" /* until the guest is adopted */

struct mount_point {
	const char *source, *target, *type, *options;
	unsigned long flags;
};

/* tmpfs sizes are shares of memory and stay below all of it together: a full disk must leave room to run code. */
static const struct mount_point before_root[] = {
	{ "scratch", SCRATCH, "tmpfs", "mode=0755,size=50%,nr_inodes=256k", MS_NOSUID | MS_NODEV },
};

static const char *const scratch_directories[] = {
	SCRATCH "/upper", SCRATCH "/work", SCRATCH "/root", SCRATCH "/data", SCRATCH "/tmp",
};

/* Only of a guest for a container: code of others would see it. */
#define CONTAINER_SCRATCH SCRATCH "/container"

static const struct mount_point new_root[] = {
	{ "root", SCRATCH "/root", "overlay", "lowerdir=/,upperdir=" SCRATCH "/upper,workdir=" SCRATCH "/work", 0 },
	{ SCRATCH "/tmp", SCRATCH "/root/tmp", NULL, NULL, MS_BIND },
};

static const struct mount_point data = {
	SCRATCH "/data", SCRATCH "/root" INIT_WORK_DIRECTORY, NULL, NULL, MS_BIND,
};

static const struct mount_point for_container = {
	CONTAINER_SCRATCH, SCRATCH "/root" INIT_CONTAINER_DIRECTORY, NULL, NULL, MS_BIND,
};

static const struct mount_point after_root[] = {
	{ "proc", "/proc", "proc", NULL, MS_NOSUID | MS_NODEV | MS_NOEXEC },
	{ "sysfs", "/sys", "sysfs", NULL, MS_NOSUID | MS_NODEV | MS_NOEXEC },
	{ "devtmpfs", "/dev", "devtmpfs", "mode=0755", MS_NOSUID | MS_NOEXEC },
	{ "devpts", "/dev/pts", "devpts", "gid=5,mode=0620,ptmxmode=0666", MS_NOSUID | MS_NOEXEC },
	{ "shm", "/dev/shm", "tmpfs", "mode=1777,size=20%", MS_NOSUID | MS_NODEV },
	{ "run", "/run", "tmpfs", "mode=0755,size=5%", MS_NOSUID | MS_NODEV },
};

/* devtmpfs makes devices only. */
static const struct {
	const char *path, *target;
} device_links[] = {
	{ "/dev/fd", "/proc/self/fd" },
	{ "/dev/stdin", "/proc/self/fd/0" },
	{ "/dev/stdout", "/proc/self/fd/1" },
	{ "/dev/stderr", "/proc/self/fd/2" },
};

static int mount_at(const struct mount_point *point, struct error *err)
{
	if (mount(point->source, point->target, point->type, point->flags, point->options) < 0)
		return error_set(err, errno, "mount %s: %s", point->target, strerror(errno));
	return 0;
}

static int make_scratch(struct error *err)
{
	int result = mount_at(&before_root[0], err);

	for (size_t i = 0; result == 0 && i < sizeof(scratch_directories) / sizeof(char *); i++)
		if (mkdir(scratch_directories[i], 0755) < 0)
			return error_set(err, errno, "make %s: %s", scratch_directories[i], strerror(errno));
	if (result < 0)
		return result;
	if (chmod(SCRATCH "/tmp", 01777) < 0 || chown(SCRATCH "/data", INIT_UID, INIT_GID) < 0)
		return error_set(err, errno, "prepare the scratch file system: %s", strerror(errno));
	return 0;
}

/* Its folder is made in the overlay first, because the image need not have it. */
static int mount_within(const struct mount_point *point, struct error *err)
{
	mkdir(point->target, 0755);
	return mount_at(point, err);
}

static int make_root(bool has_container, struct error *err)
{
	int result = make_scratch(err);

	for (size_t i = 0; result == 0 && i < sizeof(new_root) / sizeof(new_root[0]); i++)
		result = mount_at(&new_root[i], err);
	if (result == 0)
		result = mount_within(&data, err);
	if (result == 0 && has_container) {
		mkdir(CONTAINER_SCRATCH, 0755);
		result = mount_within(&for_container, err);
	}
	if (result == 0 && pivot_root_to(SCRATCH "/root") < 0)
		return error_set(err, errno, "change the root to " SCRATCH "/root: %s", strerror(errno));
	return result;
}

static void write_file(const char *path, const char *text)
{
	AUTO_FD int fd = open(path, O_WRONLY | O_CLOEXEC);

	if (fd < 0 || write(fd, text, strlen(text)) < 0)
		log_debug("%s: %s", path, strerror(errno));
}

/* The kernel opens the console for PID 1 only if /dev was there before. */
static void open_console(void)
{
	int fd;

	if (fcntl(STDERR_FILENO, F_GETFD) >= 0)
		return;
	fd = open("/dev/console", O_RDWR | O_NOCTTY);
	for (int i = 0; fd >= 0 && i <= STDERR_FILENO; i++)
		dup2(fd, i);
	if (fd > STDERR_FILENO)
		close(fd);
}

int init_limit_disk(uint64_t bytes, struct error *err)
{
	struct sysinfo info;
	uint64_t most;
	char option[40];

	if (sysinfo(&info) < 0)
		return error_set(err, errno, "sysinfo: %s", strerror(errno));
	most = (uint64_t)info.totalram * info.mem_unit / 2;
	snprintf(option, sizeof(option), "size=%llu", (unsigned long long)(bytes < most ? bytes : most));
	/* Any mount of the one tmpfs will do: its size is not the mount's. */
	if (mount(NULL, INIT_WORK_DIRECTORY, NULL, MS_REMOUNT | MS_NOSUID | MS_NODEV, option) < 0)
		return error_set(err, errno, "bound the disk to %llu bytes: %s", (unsigned long long)bytes,
				 strerror(errno));
	return 0;
}

int init_guest(bool has_container, struct error *err)
{
	int result = make_root(has_container, err);

	for (size_t i = 0; result == 0 && i < sizeof(after_root) / sizeof(after_root[0]); i++) {
		if (strncmp(after_root[i].target, "/dev/", 5) == 0)
			mkdir(after_root[i].target, 0755);
		result = mount_at(&after_root[i], err);
	}
	if (result < 0)
		return result;
	for (size_t i = 0; i < sizeof(device_links) / sizeof(device_links[0]); i++)
		if (symlink(device_links[i].target, device_links[i].path) < 0)
			log_debug("%s: %s", device_links[i].path, strerror(errno));
	open_console();
	write_file("/proc/self/oom_score_adj", "-1000");
	/* Above whatever user code starts, or a fork bomb would also starve what is to end it. */
	setpriority(PRIO_PROCESS, 0, -20);
	if (sethostname(HOST_NAME, strlen(HOST_NAME)) < 0)
		log_warn("host name: %s", strerror(errno));
	machine_place_files(HOST_NAME);
	network_configure();
	result = cgroup_setup();
	if (result < 0)
		log_warn("no cgroups, user code is bounded by rlimits only: %s", strerror(-result));
	return 0;
}
