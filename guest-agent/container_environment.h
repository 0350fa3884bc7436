/*
 * Variables for a container: those that were handed over while it was there already, and all that its entrypoint begins
 * with. Bodies of variables are NAME=VALUE, each followed by NUL.
 */
#ifndef HEARTH_AGENT_CONTAINER_ENVIRONMENT_H
#define HEARTH_AGENT_CONTAINER_ENVIRONMENT_H

#include "common/agent_container.h"

#include <stddef.h>

/* Those that were handed over: each name once, in the form of a body. All zero are none. */
struct container_variables {
	char data[AGENT_CONTAINER_ENVIRONMENT_MAX];
	size_t size;
};

/* NULL, or a sentence that says what is wrong with a body. */
const char *container_variables_check(const char *body, size_t size);

/* Adds and replaces; an empty VALUE takes NAME away. -E2BIG, and nothing has changed, if they would be too much. */
int container_variables_set(struct container_variables *variables, const char *body, size_t size);

/* Writes them as lines to `folder`/environment, which is at no time half of it. 0 or -errno. */
int container_variables_write(const struct container_variables *variables, const char *folder);

/*
 * The environment of an entrypoint: the image's `own` (up to NULL), those of a body instead or beside, and PATH and
 * HOME if they are in neither. NULL if there is no memory. Its texts are those of `own` and the body; it is not freed, since
 * a program follows.
 */
const char **container_environment_make(const char *const *own, const char *body, size_t size, const char *home);

#endif
