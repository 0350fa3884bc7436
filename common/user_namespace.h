/* User namespaces (user_namespaces(7)). */
#ifndef HEARTH_COMMON_USER_NAMESPACE_H
#define HEARTH_COMMON_USER_NAMESPACE_H

#include <sys/types.h>

/*
 * In a user namespace that the process has just entered: makes user and group 0 of it the `user` and `group` that it was
 * before. Only system calls, so that it may be called between vfork() and exec. 0 or -errno.
 */
int user_namespace_map(uid_t user, gid_t group);

#endif
