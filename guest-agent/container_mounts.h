/*
 * The file systems of a container, made in the mount namespace of the process that calls this, whose root they become:
 *
 *     /                  overlay: the image's layers below, the scratch folder above; no device of it can be opened
 *     /proc              of the container's own PID namespace; what changes the machine is read-only or masked
 *     /sys               read-only
 *     /dev               null zero full random urandom tty, pts, shm
 *     /run/hearth        read-only: what the host hands over
 *     /etc/hosts, /etc/hostname, /etc/resolv.conf, the boot ID: the guest's
 */
#ifndef HEARTH_AGENT_CONTAINER_MOUNTS_H
#define HEARTH_AGENT_CONTAINER_MOUNTS_H

#include "common/error.h"

#include <stdbool.h>

#define CONTAINER_SCRATCH_NAMES "upper", "work", "root", "lower", "handover"
#define CONTAINER_HANDOVER      "handover" /* the folder of the scratch directory that becomes /run/hearth */

struct container_file_system {
	const char *scratch;  /* an absolute path on a file system that an overlay may write to */
	const char *lower;    /* the image as a folder; NULL: it is on disks */
	unsigned n_disks;     /* EROFS, lowest layer first, from /dev/vdb on */
	bool is_machine_ours; /* the guest's names and IDs are shown; not those of a developer's machine */
};

/* Makes the folders of the scratch directory. They are the agent's: to be called before the fork. */
int container_scratch_make(const char *scratch, struct error *err);

/*
 * To be called with a mount namespace of its own, as root. Afterwards nothing of the guest's own root can be reached.
 */
int container_mounts_make(const struct container_file_system *fs, struct error *err);

#endif
