/* What reads an image is kept to the folder for images: nobody vouches for what an image is made of. */
#ifndef HEARTH_API_IMAGE_CONFINE_H
#define HEARTH_API_IMAGE_CONFINE_H

#include "common/error.h"

/*
 * From here on this process gains no privileges (no_new_privs), opens, makes, renames and removes files below `folder` alone,
 * and starts no program (landlock(7)); what is open stays so. There is no way back. Where the kernel has no Landlock that
 * could do so (before Linux 5.19, or switched off), the first is all. 0, or negative with *err set.
 */
int image_confine(const char *folder, struct error *err);

#endif
