#include "api/folder_make.h"
#include "api/image/store.h"
#include "api/image/image_name.h"
#include "common/cleanup.h"
#include "common/text.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

/* ---- opening ----------------------------------------------------------------------------------------------------- */

static int join(char path[PATH_MAX], const char *folder, const char *name)
{
	return snprintf(path, PATH_MAX, "%s/%s", folder, name) < PATH_MAX ? 0 : -ENAMETOOLONG;
}

static int make_folders(const char *folder)
{
	static const char *const names[] = { "layers", "images", "work" };
	char path[PATH_MAX];
	int ret = 0;

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]) && ret == 0; i++) {
		ret = join(path, folder, names[i]);
		if (ret == 0)
			ret = folder_make(path);
	}
	return ret;
}

/* Opens a file for its lock, which it waits for. A descriptor or -errno. */
static int take_lock(const char *path, int operation)
{
	AUTO_FD int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);

	if (fd < 0)
		return -errno;
	while (flock(fd, operation) < 0)
		if (errno != EINTR)
			return -errno;
	return steal_fd(&fd);
}

int image_store_open(struct image_store *store, const char *folder, bool is_exclusive, struct error *err)
{
	char path[PATH_MAX];
	int ret = snprintf(store->folder, PATH_MAX, "%s", folder) < PATH_MAX ? make_folders(folder) : -ENAMETOOLONG;

	store->lock = -1;
	if (ret == 0)
		ret = join(path, folder, "lock");
	if (ret == 0)
		ret = store->lock = take_lock(path, is_exclusive ? LOCK_EX : LOCK_SH);
	if (ret < 0)
		return error_set(err, -ret, "cannot use the folder for images %s: %s", folder, strerror(-ret));
	return 0;
}

void image_store_close(struct image_store *store)
{
	if (store->lock >= 0)
		close(store->lock);
	store->lock = -1;
}

/* ---- files ------------------------------------------------------------------------------------------------------- */

static int sync_path(const char *path, int flags)
{
	AUTO_FD int fd = open(path, O_RDONLY | O_CLOEXEC | flags);

	return fd < 0 || fsync(fd) < 0 ? -errno : 0;
}

/* Gives a complete file its name in one of the store's folders, for good. 0 or -errno. */
static int keep(const struct image_store *store, const char *file, const char *folder, const char *name)
{
	char directory[PATH_MAX], path[PATH_MAX];
	int ret = join(directory, store->folder, folder);

	if (ret == 0)
		ret = join(path, directory, name);
	if (ret == 0)
		ret = sync_path(file, 0);
	if (ret == 0 && rename(file, path) < 0)
		ret = -errno;
	return ret < 0 ? ret : sync_path(directory, O_DIRECTORY);
}

/* ---- images ------------------------------------------------------------------------------------------------------ */

static int image_path(const struct image_store *store, const char *name, char path[PATH_MAX])
{
	char file[IMAGE_FILE_SIZE];

	image_name_to_file(name, file);
	return snprintf(path, PATH_MAX, "%s/images/%s", store->folder, file) < PATH_MAX ? 0 : -ENAMETOOLONG;
}

int image_work_keep_image(const struct image_work *work, const struct image_store *store, const char *name,
			  const json_t *image, struct error *err)
{
	char temporary[PATH_MAX], file[IMAGE_FILE_SIZE];
	int ret = join(temporary, work->folder, "image.json");

	errno = 0;
	if (ret == 0 && json_dump_file(image, temporary, JSON_INDENT(2)) < 0)
		ret = errno ? -errno : -EIO;
	image_name_to_file(name, file);
	if (ret == 0)
		ret = keep(store, temporary, "images", file);
	return ret < 0 ? error_set(err, -ret, "cannot keep what is known of the image %s: %s", name, strerror(-ret))
		       : 0;
}

static json_t *load(const char *path, struct error *err)
{
	json_error_t problem;
	json_t *image = json_load_file(path, 0, &problem);

	if (!image && access(path, F_OK) < 0)
		error_set(err, errno, "cannot read %s: %s", path, strerror(errno));
	else if (!json_is_object(image))
		error_set(err, EINVAL, "%s is damaged (%s): delete it and import the image again", path,
			  image ? "no object" : problem.text);
	if (json_is_object(image))
		return image;
	json_decref(image);
	return NULL;
}

json_t *image_store_get(const struct image_store *store, const char *name, struct error *err)
{
	char path[PATH_MAX];
	json_t *image = NULL;

	if (image_path(store, name, path) < 0)
		error_set(err, ENAMETOOLONG, "the path of the folder for images is too long");
	else if (access(path, F_OK) < 0 && errno == ENOENT)
		error_set(err, ENOENT, "there is no image %s: `hearth image ls` shows those that are there", name);
	else
		image = load(path, err);
	return image;
}

static int compare_names(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

struct name_list {
	char **names;
	size_t n;
};

static void name_list_fini(struct name_list *list)
{
	for (size_t i = 0; i < list->n; i++)
		free(list->names[i]);
	free(list->names);
}

static int add_name(struct name_list *list, const char *name)
{
	char **grown = realloc(list->names, (list->n + 1) * sizeof(char *));

	if (!grown)
		return -ENOMEM;
	list->names = grown;
	grown[list->n] = strdup(name);
	if (!grown[list->n])
		return -ENOMEM;
	list->n++;
	return 0;
}

/*
 * The sorted names that end with `end` in one of the store's folders, for the caller to free. 0, or negative with
 * *err set.
 */
static int list_names(const struct image_store *store, const char *folder, const char *end, struct name_list *list,
		      struct error *err)
{
	char path[PATH_MAX];
	int ret = join(path, store->folder, folder);
	DIR *directory = ret == 0 ? opendir(path) : NULL;
	struct dirent *entry;

	*list = (struct name_list) { 0 };
	if (ret == 0 && !directory)
		ret = -errno;
	while (ret == 0 && directory && (entry = readdir(directory)))
		if (text_ends_with(entry->d_name, end))
			ret = add_name(list, entry->d_name);
	if (directory)
		closedir(directory);
	if (list->n)
		qsort(list->names, list->n, sizeof(char *), compare_names);
	return ret < 0 ? error_set(err, -ret, "cannot list %s/%s: %s", store->folder, folder, strerror(-ret)) : 0;
}

/* Adds what is known of an image to the array. 0, or negative with *err set. */
static int add_image(const struct image_store *store, const char *file, json_t *images, struct error *err)
{
	char path[PATH_MAX];
	json_t *image;

	if (snprintf(path, PATH_MAX, "%s/images/%s", store->folder, file) >= PATH_MAX)
		return error_set(err, ENAMETOOLONG, "the path of the folder for images is too long");
	image = load(path, err);
	if (image)
		json_array_append_new(images, image);
	return image ? 0 : -err->code;
}

json_t *image_store_list(const struct image_store *store, struct error *err)
{
	json_t *images = json_array();
	struct name_list list;
	int ret = list_names(store, "images", ".json", &list, err);

	for (size_t i = 0; i < list.n && ret == 0; i++)
		ret = add_image(store, list.names[i], images, err);
	name_list_fini(&list);
	if (ret == 0)
		return images;
	json_decref(images);
	return NULL;
}

int image_store_remove(const struct image_store *store, const char *name, struct error *err)
{
	char path[PATH_MAX];

	if (image_path(store, name, path) < 0)
		return error_set(err, ENAMETOOLONG, "the path of the folder for images is too long");
	if (unlink(path) == 0)
		return 0;
	if (errno == ENOENT)
		return error_set(err, ENOENT, "there is no image %s: `hearth image ls` shows those that are there",
				 name);
	return error_set(err, errno, "cannot remove %s: %s", path, strerror(errno));
}

/* ---- layers ------------------------------------------------------------------------------------------------------ */

int image_store_layer_path(const struct image_store *store, const char key[IMAGE_HEX_SIZE], char path[PATH_MAX])
{
	return snprintf(path, PATH_MAX, "%s/layers/%s.erofs", store->folder, key) < PATH_MAX ? 0 : -ENAMETOOLONG;
}

int image_store_keep_layer(const struct image_store *store, const char *file, const char key[IMAGE_HEX_SIZE])
{
	char name[IMAGE_HEX_SIZE + sizeof(".erofs")];

	snprintf(name, sizeof(name), "%s.erofs", key);
	return chmod(file, 0444) < 0 ? -errno : keep(store, file, "layers", name);
}

static bool is_needed(const json_t *images, const char *file)
{
	const json_t *image, *layer;
	size_t i, j;

	json_array_foreach(images, i, image)
	{
		json_array_foreach(json_object_get(image, "stack"), j, layer)
		{
			const char *name = json_string_value(json_object_get(layer, "file"));

			if (name && strcmp(name, file) == 0)
				return true;
		}
	}
	return false;
}

int image_store_hold_layer(const struct image_store *store, const char key[IMAGE_HEX_SIZE], char path[PATH_MAX])
{
	int ret = image_store_layer_path(store, key, path);
	AUTO_FD int fd = ret < 0 ? -1 : open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);

	if (ret < 0)
		return ret;
	/* Only who prunes has it exclusively, and has the whole store so. */
	if (fd < 0 || flock(fd, LOCK_SH | LOCK_NB) < 0)
		return -errno;
	return steal_fd(&fd);
}

/* Removes a layer, unless it is held. */
static void prune_layer(const char *path, struct image_pruned *pruned)
{
	AUTO_FD int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	struct stat status;

	if (fd >= 0 && flock(fd, LOCK_EX | LOCK_NB) < 0) {
		pruned->n_held++;
	} else if (fd >= 0 && fstat(fd, &status) == 0 && unlink(path) == 0) {
		pruned->n_files++;
		pruned->n_bytes += (uint64_t)status.st_blocks * 512;
	}
}

int image_store_prune(const struct image_store *store, struct image_pruned *pruned, struct error *err)
{
	json_t *images = image_store_list(store, err);
	struct name_list list;
	char path[PATH_MAX];
	int ret;

	*pruned = (struct image_pruned) { 0 };
	if (!images)
		return -err->code;
	ret = list_names(store, "layers", ".erofs", &list, err);
	for (size_t i = 0; i < list.n && ret == 0; i++)
		if (!is_needed(images, list.names[i]) &&
		    snprintf(path, PATH_MAX, "%s/layers/%s", store->folder, list.names[i]) < PATH_MAX)
			prune_layer(path, pruned);
	name_list_fini(&list);
	json_decref(images);
	return ret;
}
