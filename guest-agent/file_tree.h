/* Walks and names within one folder that never lead out of it. Knows no frames. */
#ifndef HEARTH_AGENT_FILE_TREE_H
#define HEARTH_AGENT_FILE_TREE_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/stat.h>
#include <sys/types.h>

/* Opens `path` ("" is the folder itself) beneath the folder `root`. The descriptor or -errno; -EXDEV for a way out. */
int file_tree_open(int root, const char *path, int flags);

/*
 * Opens the folder that `path` is in, for names in it; *name points at the last part of `path`. Missing folders are made
 * if `make`, for `uid` and `gid` ((uid_t)-1: as they come). The descriptor or -errno; -EINVAL if the path has no name.
 */
int file_tree_open_parent(int root, const char *path, bool make, uid_t uid, gid_t gid, const char **name);

/*
 * Calls `visit` with the path (from `root`) of each file and folder in `path`, in those within too if `is_recursive`.
 * Links that lead to something else in the folder count as what they lead to, and are not walked through; what is neither
 * file nor folder is left out. 0; 1 if it stopped at `max` entries; -errno.
 */
int file_tree_list(int root, const char *path, bool is_recursive, size_t max,
		   void (*visit)(void *data, const char *path, const struct stat *stat), void *data);

#endif
