#include "api/image/store.h"
#include "common/cleanup.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
	FOLDERS_OPEN_MAX = 16,
};

static int remove_one(const char *path, const struct stat *status, int type, struct FTW *at)
{
	(void)status;
	(void)type;
	(void)at;
	remove(path);
	return 0;
}

static void remove_tree(const char *path)
{
	nftw(path, remove_one, FOLDERS_OPEN_MAX, FTW_DEPTH | FTW_PHYS);
}

/* Whoever works in a folder has it locked; the kernel unlocks it when that process ends, however it does. */
static void clear(const char *path)
{
	AUTO_FD int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);

	if (fd >= 0 && flock(fd, LOCK_EX | LOCK_NB) == 0)
		remove_tree(path);
}

static void clear_all(const char *folder)
{
	DIR *directory = opendir(folder);
	char path[PATH_MAX];
	struct dirent *entry;

	while (directory && (entry = readdir(directory)))
		if (entry->d_name[0] != '.' && snprintf(path, PATH_MAX, "%s/%s", folder, entry->d_name) < PATH_MAX)
			clear(path);
	if (directory)
		closedir(directory);
}

static int begin(struct image_work *work, const char *folder)
{
	/* So that nobody clears a folder away between its making and its locking. */
	AUTO_FD int gate = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (gate < 0 || flock(gate, LOCK_EX) < 0)
		return -errno;
	clear_all(folder);
	if (snprintf(work->folder, PATH_MAX, "%s/XXXXXX", folder) >= PATH_MAX)
		return -ENAMETOOLONG;
	if (!mkdtemp(work->folder))
		return -errno;
	work->lock = open(work->folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return work->lock < 0 || flock(work->lock, LOCK_EX) < 0 ? -errno : 0;
}

int image_work_begin(struct image_work *work, const struct image_store *store, struct error *err)
{
	char folder[PATH_MAX];
	int ret = snprintf(folder, PATH_MAX, "%s/work", store->folder) < PATH_MAX ? 0 : -ENAMETOOLONG;

	*work = (struct image_work) { .lock = -1 };
	if (ret == 0)
		ret = begin(work, folder);
	return ret < 0 ? error_set(err, -ret, "cannot make a folder in %s: %s", folder, strerror(-ret)) : 0;
}

void image_work_end(struct image_work *work)
{
	if (*work->folder)
		remove_tree(work->folder);
	if (work->lock >= 0)
		close(work->lock);
	*work = (struct image_work) { .lock = -1 };
}
