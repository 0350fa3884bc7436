/* Another root for a process that has a mount namespace of its own. */
#ifndef HEARTH_COMMON_PIVOT_ROOT_H
#define HEARTH_COMMON_PIVOT_ROOT_H

#include <sys/mount.h>
#include <sys/syscall.h>
#include <unistd.h>

/*
 * Makes the root of what is mounted at `path`; the old one goes, with everything under it. It is stacked under the new one at
 * the same place and taken off, so that no second mount point is needed. 0, or -1 with errno.
 */
static inline int pivot_root_to(const char *path)
{
	if (chdir(path) < 0 || syscall(SYS_pivot_root, ".", ".") < 0 || umount2(".", MNT_DETACH) < 0)
		return -1;
	return chdir("/");
}

#endif
