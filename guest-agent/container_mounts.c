#include "container_mounts.h"

#include "common/cleanup.h"
#include "common/pivot_root.h"

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#define DENIED (MS_NOSUID | MS_NODEV | MS_NOEXEC)

/* Of linux/mount.h, which cannot be had beside sys/mount.h. */
#define OPEN_TREE_CLONE_FLAG   1u
#define MOVE_MOUNT_EMPTY_PATHS (0x4u | 0x40u)
#define ATTRIBUTE_READ_ONLY    0x1ull

struct mount_attributes {
	uint64_t set, clear, propagation, user_namespace;
};

/* What of the guest shows in the container, as it is there at any time. */
enum { N_SHARED = 5 };

static const struct {
	const char *source, *folder, *name;
	bool is_read_only;
} shared[N_SHARED] = {
	{ "/run/hearth/boot-id", "/proc/sys/kernel/random", "boot_id", true },
	{ "/run/hearth/machine-id", "/etc", "machine-id", true },
	{ "/run/hearth/hostname", "/etc", "hostname", false },
	{ "/run/hearth/hosts", "/etc", "hosts", false },
	{ "/etc/resolv.conf", "/etc", "resolv.conf", false },
};

static const struct {
	const char *source, *folder, *type, *options;
	unsigned long flags;
	bool may_fail;
} mounts[] = {
	{ "proc", "/proc", "proc", NULL, DENIED, false },
	{ "sysfs", "/sys", "sysfs", NULL, DENIED | MS_RDONLY, false },
	{ "cgroup2", "/sys/fs/cgroup", "cgroup2", NULL, DENIED | MS_RDONLY, true },
	/* Device nodes can be opened here alone, and the container has no capability to make one. */
	{ "dev", "/dev", "tmpfs", "mode=0755,size=64k", MS_NOSUID | MS_NOEXEC, false },
	{ "devpts", "/dev/pts", "devpts", "newinstance,gid=5,mode=0620,ptmxmode=0666", MS_NOSUID | MS_NOEXEC, false },
	{ "shm", "/dev/shm", "tmpfs", "mode=1777,size=20%", MS_NOSUID | MS_NODEV, false },
};

static const struct {
	const char *path;
	unsigned minor;
} devices[] = {
	{ "/dev/null", 3 }, { "/dev/zero", 5 }, { "/dev/full", 7 }, { "/dev/random", 8 }, { "/dev/urandom", 9 },
};

static const struct {
	const char *path, *target;
} links[] = {
	{ "/dev/fd", "/proc/self/fd" },       { "/dev/stdin", "/proc/self/fd/0" }, { "/dev/stdout", "/proc/self/fd/1" },
	{ "/dev/stderr", "/proc/self/fd/2" }, { "/dev/ptmx", "pts/ptmx" },
};

/* Those that a kernel does not have are passed over. */
static const char *const read_only[] = { "/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger" };
static const char *const masked_files[] = { "/proc/kcore",      "/proc/keys",        "/proc/latency_stats",
					    "/proc/timer_list", "/proc/sched_debug", "/proc/kpagecount",
					    "/proc/kpageflags", "/proc/kpagecgroup" };
static const char *const masked_folders[] = { "/proc/acpi", "/proc/asound", "/proc/scsi", "/sys/firmware" };

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

int container_scratch_make(const char *scratch, struct error *err)
{
	static const char *const names[] = { CONTAINER_SCRATCH_NAMES };
	char path[4096];

	for (size_t i = 0; i < COUNT(names); i++) {
		snprintf(path, sizeof(path), "%s/%s", scratch, names[i]);
		if (mkdir(path, 0755) < 0 && errno != EEXIST)
			return error_set(err, errno, "make %s: %s", path, strerror(errno));
	}
	return 0;
}

/* ---- before the root is changed ---------------------------------------------------------------------------------- */

/* A mount of what is at `path`, which is nowhere yet. Negative with errno if there is nothing. */
static int clone_tree(const char *path, bool is_read_only)
{
	struct mount_attributes attributes = { .set = ATTRIBUTE_READ_ONLY };
	AUTO_FD int fd = (int)syscall(SYS_open_tree, AT_FDCWD, path, OPEN_TREE_CLONE_FLAG | O_CLOEXEC);

	if (fd >= 0 && is_read_only &&
	    syscall(SYS_mount_setattr, fd, "", AT_EMPTY_PATH, &attributes, sizeof(attributes)) < 0)
		return -1;
	return steal_fd(&fd);
}

/* Mounts the image's disks and appends where they are to `options`, the uppermost first as overlay wants it. */
static int mount_disks(const struct container_file_system *fs, char *options, size_t size, struct error *err)
{
	char device[16], folder[256];

	for (unsigned i = fs->n_disks; i-- > 0;) {
		size_t used = strlen(options);

		snprintf(device, sizeof(device), "/dev/vd%c", (char)('b' + (int)i));
		snprintf(folder, sizeof(folder), "%s/lower/%u", fs->scratch, i);
		if (mkdir(folder, 0755) < 0 && errno != EEXIST)
			return error_set(err, errno, "make %s: %s", folder, strerror(errno));
		if (mount(device, folder, "erofs", MS_RDONLY | MS_NODEV, NULL) < 0)
			return error_set(err, errno, "disk %u of the image (%s) cannot be mounted: %s", i + 1, device,
					 strerror(errno));
		snprintf(options + used, size - used, "%s%s", used ? ":" : "", folder);
	}
	return 0;
}

static int mount_root(const struct container_file_system *fs, struct error *err)
{
	char lower[4096] = "", options[8192], root[4096];
	int result = 0;

	if (fs->lower)
		snprintf(lower, sizeof(lower), "%s", fs->lower);
	else
		result = mount_disks(fs, lower, sizeof(lower), err);
	if (result < 0)
		return result;
	snprintf(options, sizeof(options), "lowerdir=%s,upperdir=%s/upper,workdir=%s/work", lower, fs->scratch,
		 fs->scratch);
	snprintf(root, sizeof(root), "%s/root", fs->scratch);
	if (mount("container", root, "overlay", MS_NODEV, options) < 0)
		return error_set(err, errno, "the image's layers cannot be put together: %s", strerror(errno));
	if (pivot_root_to(root) < 0)
		return error_set(err, errno, "change the container's root: %s", strerror(errno));
	return 0;
}

/* ---- within the image, whose folders may be anything ------------------------------------------------------------- */

/* Opens a folder of the image, and makes what is missing of it. Links are not followed: they could lead to a mount. */
static int open_folder(const char *path, struct error *err)
{
	AUTO_FD int fd = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
	char part[64];

	for (const char *at = path; fd >= 0 && *at == '/';) {
		size_t length = strcspn(++at, "/");
		int next;

		snprintf(part, sizeof(part), "%.*s", (int)length, at);
		if (mkdirat(fd, part, 0755) < 0 && errno != EEXIST && errno != EROFS && errno != EPERM &&
		    errno != EACCES)
			return error_set(err, errno, "make %s in the container: %s", path, strerror(errno));
		next = openat(fd, part, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
		if (next < 0)
			return error_set(err, errno, "the image's %s cannot be used: %s in it is no folder", path,
					 part);
		close(fd);
		fd = next;
		at += length;
	}
	return steal_fd(&fd);
}

static int mount_on(size_t i, struct error *err)
{
	AUTO_FD int fd = open_folder(mounts[i].folder, err);

	if (fd < 0)
		return mounts[i].may_fail ? 0 : -1;
	if ((fchdir(fd) < 0 || mount(mounts[i].source, ".", mounts[i].type, mounts[i].flags, mounts[i].options) < 0) &&
	    !mounts[i].may_fail)
		return error_set(err, errno, "mount %s in the container: %s", mounts[i].folder, strerror(errno));
	return chdir("/");
}

static int make_devices(struct error *err)
{
	const mode_t everybodys = S_IFCHR | 0666;

	for (size_t i = 0; i < COUNT(devices); i++)
		if (mknod(devices[i].path, everybodys, makedev(1, devices[i].minor)) < 0)
			return error_set(err, errno, "make %s in the container: %s", devices[i].path, strerror(errno));
	if (mknod("/dev/tty", everybodys, makedev(5, 0)) < 0)
		return error_set(err, errno, "make /dev/tty in the container: %s", strerror(errno));
	for (size_t i = 0; i < COUNT(links); i++)
		if (symlink(links[i].target, links[i].path) < 0)
			return error_set(err, errno, "make %s in the container: %s", links[i].path, strerror(errno));
	return 0;
}

/* An empty file of this name takes the place of a link, which could lead anywhere. Negative if there can be none. */
static int open_file(int folder, const char *name)
{
	struct stat status;

	if (fstatat(folder, name, &status, AT_SYMLINK_NOFOLLOW) == 0 && S_ISLNK(status.st_mode))
		unlinkat(folder, name, 0);
	if (mknodat(folder, name, S_IFREG | 0644, 0) < 0 && errno != EEXIST)
		return -1;
	return openat(folder, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
}

/* What cannot be shown is left as the image has it. */
static void show_shared(const int fds[N_SHARED])
{
	struct error err;

	for (size_t i = 0; i < N_SHARED; i++) {
		AUTO_FD int folder = fds[i] >= 0 ? open_folder(shared[i].folder, &err) : -1;
		AUTO_FD int file = folder >= 0 ? open_file(folder, shared[i].name) : -1;

		if (file >= 0)
			syscall(SYS_move_mount, fds[i], "", file, "", MOVE_MOUNT_EMPTY_PATHS);
	}
}

static int place_handover(int tree, struct error *err)
{
	AUTO_FD int folder = open_folder("/run/hearth", err);

	if (folder < 0)
		return -1;
	if (syscall(SYS_move_mount, tree, "", folder, "", MOVE_MOUNT_EMPTY_PATHS) < 0)
		return error_set(err, errno, "mount /run/hearth in the container: %s", strerror(errno));
	return 0;
}

/* Only where there is nothing to protect may it fail. */
static int protect(struct error *err)
{
	for (size_t i = 0; i < COUNT(read_only); i++) {
		if (access(read_only[i], F_OK) < 0)
			continue;
		if (mount(read_only[i], read_only[i], NULL, MS_BIND | MS_REC, NULL) < 0 ||
		    mount(NULL, read_only[i], NULL, MS_BIND | MS_REMOUNT | MS_RDONLY | DENIED, NULL) < 0)
			return error_set(err, errno, "make %s read-only in the container: %s", read_only[i],
					 strerror(errno));
	}
	for (size_t i = 0; i < COUNT(masked_files); i++)
		if (mount("/dev/null", masked_files[i], NULL, MS_BIND, NULL) < 0 && errno != ENOENT)
			return error_set(err, errno, "mask %s: %s", masked_files[i], strerror(errno));
	for (size_t i = 0; i < COUNT(masked_folders); i++)
		if (mount("none", masked_folders[i], "tmpfs", MS_RDONLY | DENIED, "size=0") < 0 && errno != ENOENT)
			return error_set(err, errno, "mask %s: %s", masked_folders[i], strerror(errno));
	return 0;
}

int container_mounts_make(const struct container_file_system *fs, struct error *err)
{
	int trees[N_SHARED], result;
	char path[4096];
	int handover;

	/* Nothing that is mounted from here on shows in the agent's own namespace. */
	if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0)
		return error_set(err, errno, "make mounts private: %s", strerror(errno));
	snprintf(path, sizeof(path), "%s/" CONTAINER_HANDOVER, fs->scratch);
	handover = clone_tree(path, true);
	if (handover < 0)
		return error_set(err, errno, "%s: %s", path, strerror(errno));
	for (size_t i = 0; i < N_SHARED; i++)
		trees[i] = fs->is_machine_ours ? clone_tree(shared[i].source, shared[i].is_read_only) : -1;
	result = mount_root(fs, err);
	for (size_t i = 0; result == 0 && i < COUNT(mounts); i++)
		result = mount_on(i, err);
	if (result == 0)
		result = make_devices(err);
	if (result == 0)
		result = place_handover(handover, err);
	if (result == 0) {
		/* Before /proc/sys is taken along read-only: the boot ID is in it. */
		show_shared(trees);
		result = protect(err);
	}
	/* The descriptors are closed by the program that is run. */
	return result;
}
