/*
 * What PID 1 does before anything else runs: file systems, host name, loopback interface.
 */
#ifndef HEARTH_AGENT_INIT_H
#define HEARTH_AGENT_INIT_H

#include "common/error.h"

#include <stdbool.h>
#include <stdint.h>

#define INIT_WORK_DIRECTORY      "/mnt/data"      /* where code starts: the session's own folder */
#define INIT_CONTAINER_DIRECTORY "/mnt/container" /* what a container writes */
#define INIT_HOME_DIRECTORY      "/home/hearth"   /* of the user that code runs as; the image has it */

enum {
	INIT_UID = 1000,
	INIT_GID = 1000,
};

/*
 * Makes the guest ready for user code. The root becomes a tmpfs overlay over the read-only image, so that everything
 * is writable and dies with the VM. Only a guest for a container has INIT_CONTAINER_DIRECTORY. Fails only where nothing
 * could work without it.
 */
int init_guest(bool has_container, struct error *err);

/*
 * Bounds what may be written: to the root, /tmp and /mnt/data together. What is larger than at the start, half of the memory, is
 * that; what is smaller than what is there already is refused. 0 or negative with *err filled.
 */
int init_limit_disk(uint64_t bytes, struct error *err);

#endif
