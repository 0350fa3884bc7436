/*
 * What a container's processes may do, whoever they are.
 */
#ifndef HEARTH_AGENT_CONTAINER_PRIVILEGES_H
#define HEARTH_AGENT_CONTAINER_PRIVILEGES_H

#include "container_user.h"

/*
 * Becomes `user`. Root, and programs that are set-user-ID root, have Docker's default capabilities but CAP_MKNOD;
 * others have none. Nobody can have a vsock, which would lead to the host past the agent. To be called as root, just
 * before the program is run. 0 or -errno.
 */
int container_privileges_drop(const struct container_user *user);

/* For the agent's own init in the container: no capability but to signal, and no memory that others may look at. */
int container_privileges_drop_init(void);

#endif
