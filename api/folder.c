#include "api/folder.h"

#include "common/cleanup.h"
#include "common/log.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

struct work {
	uv_work_t request;
	int (*act)(const char *path);
	int rc;
	char path[];
};

int folder_remove(const char *path)
{
	DIR *dir = opendir(path);
	struct dirent *entry;

	if (!dir)
		return -errno;
	while ((entry = readdir(dir)))
		unlinkat(dirfd(dir), entry->d_name, 0);
	closedir(dir);
	return rmdir(path) < 0 ? -errno : 0;
}

static int sync_folder(const char *path)
{
	AUTO_FD int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	return fd < 0 || fsync(fd) < 0 ? -errno : 0;
}

static void run(uv_work_t *request)
{
	struct work *w = request->data;

	w->rc = w->act(w->path);
}

static void after(uv_work_t *request, int status)
{
	struct work *w = request->data;

	(void)status;
	if (w->rc < 0 && w->rc != -ENOENT)
		log_warn("cannot %s %s: %s", w->act == folder_remove ? "remove" : "sync", w->path, strerror(-w->rc));
	free(w);
}

static void do_later(uv_loop_t *loop, const char *path, int (*act)(const char *path))
{
	struct work *w = calloc(1, sizeof(*w) + strlen(path) + 1);

	if (w) {
		memcpy(w->path, path, strlen(path) + 1);
		w->act = act;
		w->request.data = w;
	}
	if (!w || uv_queue_work(loop, &w->request, run, after) < 0) {
		free(w);
		act(path);
	}
}

void folder_remove_later(uv_loop_t *loop, const char *path)
{
	do_later(loop, path, folder_remove);
}

void folder_sync_later(uv_loop_t *loop, const char *path)
{
	do_later(loop, path, sync_folder);
}
