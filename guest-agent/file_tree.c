#include "file_tree.h"

#include "loop.h"
#include "common/agent_protocol.h"
#include "common/cleanup.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

enum {
	TRIES = 16,            /* of a resolution that renames elsewhere in the tree disturbed */
	DEPTH_MAX = 32,        /* folders within folders that are walked; each takes a descriptor */
	LIST_US = 2 * 1000000, /* nothing else is done meanwhile, and links can take the kernel long to follow */
};

int file_tree_open(int root, const char *path, int flags)
{
	struct open_how how = {
		.flags = (uint64_t)(unsigned int)(flags | O_CLOEXEC),
		.resolve = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS,
	};
	long fd = -1;

	for (int i = 0; i < TRIES; i++) {
		fd = syscall(SYS_openat2, root, *path ? path : ".", &how, sizeof(how));
		if (fd >= 0 || errno != EAGAIN)
			break;
	}
	return fd < 0 ? -errno : (int)fd;
}

/* ---- the folder of a name ---------------------------------------------------------------------------------------- */

/* Opens the folder of the first `length` bytes of `path`. Makes it, in the folder `above`, if it is missing. */
static int open_or_make(int root, int above, const char *path, size_t length, uid_t uid, gid_t gid)
{
	char part[AGENT_FILE_PATH_MAX + 1];
	const char *name;
	int fd;

	snprintf(part, sizeof(part), "%.*s", (int)length, path);
	fd = file_tree_open(root, part, O_PATH | O_DIRECTORY);
	if (fd != -ENOENT)
		return fd;
	name = strrchr(part, '/');
	name = name ? name + 1 : part;
	if (mkdirat(above, name, 0755) < 0 && errno != EEXIST)
		return -errno;
	if (uid != (uid_t)-1 && fchownat(above, name, uid, gid, AT_SYMLINK_NOFOLLOW) < 0)
		return -errno;
	return file_tree_open(root, part, O_PATH | O_DIRECTORY);
}

static int make_folders(int root, const char *path, size_t length, uid_t uid, gid_t gid)
{
	int folder = file_tree_open(root, "", O_PATH | O_DIRECTORY);

	for (size_t end = 0; folder >= 0 && end < length; end++) {
		AUTO_FD int above = folder;

		end += strcspn(path + end, "/");
		folder = open_or_make(root, above, path, end, uid, gid);
	}
	return folder;
}

int file_tree_open_parent(int root, const char *path, bool make, uid_t uid, gid_t gid, const char **name)
{
	const char *slash = strrchr(path, '/');
	size_t length = slash ? (size_t)(slash - path) : 0;
	char parent[AGENT_FILE_PATH_MAX + 1];

	*name = slash ? slash + 1 : path;
	if (!**name || strcmp(*name, ".") == 0 || strcmp(*name, "..") == 0 || length >= sizeof(parent))
		return -EINVAL;
	if (make)
		return make_folders(root, path, length, uid, gid);
	snprintf(parent, sizeof(parent), "%.*s", (int)length, path);
	return file_tree_open(root, parent, O_PATH | O_DIRECTORY);
}

/* ---- lists ------------------------------------------------------------------------------------------------------- */

struct walk {
	int root;
	bool is_recursive;
	size_t n, max;
	uint64_t until_us; /* of loop_now_us() */
	void (*visit)(void *data, const char *path, const struct stat *stat);
	void *data;
	char path[AGENT_FILE_PATH_MAX + 1]; /* of the present entry */
};

static bool is_told(const struct stat *stat)
{
	return S_ISREG(stat->st_mode) || S_ISDIR(stat->st_mode);
}

/* What the entry is, or what it leads to. False for what is not told. */
static bool look(const struct walk *w, int folder, const char *name, struct stat *stat, bool *is_link)
{
	AUTO_FD int fd = -1;

	if (fstatat(folder, name, stat, AT_SYMLINK_NOFOLLOW) < 0)
		return false;
	*is_link = S_ISLNK(stat->st_mode);
	if (*is_link) {
		fd = file_tree_open(w->root, w->path, O_PATH);
		if (fd < 0 || fstat(fd, stat) < 0)
			return false;
	}
	return is_told(stat);
}

static int walk(struct walk *w, int fd, int depth);

/* Takes one entry of the folder whose path is the first `length` bytes of w->path. 0, 1 at the maximum. */
static int take_entry(struct walk *w, int folder, size_t length, const char *name, int depth)
{
	size_t room = sizeof(w->path) - length;
	struct stat stat;
	bool is_link;
	int fd;

	if (loop_now_us() >= w->until_us)
		return 1;
	if ((size_t)snprintf(w->path + length, room, "%s%s", length ? "/" : "", name) >= room ||
	    !look(w, folder, name, &stat, &is_link))
		return 0;
	if (w->n == w->max)
		return 1;
	w->n++;
	w->visit(w->data, w->path, &stat);
	if (!w->is_recursive || is_link || !S_ISDIR(stat.st_mode) || depth == DEPTH_MAX)
		return 0;
	fd = openat(folder, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	return fd < 0 ? 0 : walk(w, fd, depth + 1);
}

/* Takes the descriptor over. */
static int walk(struct walk *w, int fd, int depth)
{
	size_t length = strlen(w->path);
	DIR *folder = fdopendir(fd);
	const struct dirent *entry;
	int rc = 0;

	if (!folder) {
		close(fd);
		return -ENOMEM;
	}
	while (rc == 0 && (entry = readdir(folder))) {
		if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
			rc = take_entry(w, dirfd(folder), length, entry->d_name, depth);
		w->path[length] = '\0';
	}
	closedir(folder);
	return rc;
}

int file_tree_list(int root, const char *path, bool is_recursive, size_t max,
		   void (*visit)(void *data, const char *path, const struct stat *stat), void *data)
{
	struct walk w = { .root = root, .is_recursive = is_recursive, .max = max, .visit = visit, .data = data };
	int fd = file_tree_open(root, path, O_RDONLY | O_DIRECTORY);

	if (fd < 0)
		return fd;
	w.until_us = loop_now_us() + LIST_US;
	snprintf(w.path, sizeof(w.path), "%s", path);
	return walk(&w, fd, 0);
}
