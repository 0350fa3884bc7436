/* Where imported images are: the same folder that hearthd would use. */
#ifndef HEARTH_API_CLI_IMAGE_FOLDER_H
#define HEARTH_API_CLI_IMAGE_FOLDER_H

#include "common/error.h"

#include <limits.h>

/*
 * `given` if it is not NULL; else $HEARTH_IMAGE_DIR; else what `image-dir` is in hearthd's configuration file, if its
 * home has one; else container-images in that home. 0, or negative with *err set.
 */
int image_folder_find(const char *given, char folder[PATH_MAX], struct error *err);

#endif
