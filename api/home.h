/* Where programs of Hearth look for what is theirs. */
#ifndef HEARTH_API_HOME_H
#define HEARTH_API_HOME_H

#include <limits.h>
#include <stdbool.h>

/* The folder that this executable lies in. False if it cannot be told, with errno set. */
bool home_own_folder(char folder[PATH_MAX]);

/*
 * The default of the configuration's `home`: $HEARTH_HOME, or the folder of this executable if that has a folder `images`,
 * as in a checkout, or /var/lib/hearth. False if it is too long for a path.
 */
bool home_find(char home[PATH_MAX]);

#endif
