/*
 * Who a container's entrypoint runs as: "USER[:GROUP]" of its image, resolved against the image's own /etc/passwd and
 * /etc/group as Docker does. Both files are the image's: anything may be in them.
 */
#ifndef HEARTH_AGENT_CONTAINER_USER_H
#define HEARTH_AGENT_CONTAINER_USER_H

#include "common/error.h"

#include <stddef.h>
#include <stdint.h>

enum {
	CONTAINER_GROUPS_MAX = 64,             /* supplementary ones; what is beyond is not joined */
	CONTAINER_USER_FILE_MAX = 1024 * 1024, /* bytes of either file that are looked at */
	CONTAINER_HOME_MAX = 1023,
};

struct container_user {
	uint32_t uid, gid;
	size_t n_groups;
	uint32_t groups
		[CONTAINER_GROUPS_MAX];    /* supplementary ones: those that list the user, unless a group is given */
	char home[CONTAINER_HOME_MAX + 1]; /* "/" if nothing better is known */
};

/* The two files' bytes; there need not be any. */
struct container_user_files {
	const char *passwd, *group;
	size_t passwd_size, group_size;
};

/*
 * "" is root. A number need not be in the files; a name has to. 0, or negative with *err: a sentence about the image.
 */
int container_user_resolve(const char *user, const struct container_user_files *files, struct container_user *result,
			   struct error *err);

#endif
