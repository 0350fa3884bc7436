/* Pictures that code displayed, saved as files. */
#ifndef HEARTH_API_CLI_PICTURE_H
#define HEARTH_API_CLI_PICTURE_H

#include "common/error.h"

#include <jansson.h>
#include <stddef.h>

/*
 * Saves the picture in a MIME bundle, if it has one, as `directory`/hearth-<n>.<extension>, with the first n that is
 * free: nothing is overwritten. Makes the directory. Returns 1 with the file's path in `path`, 0 if the bundle holds no
 * picture, or negative with *err set.
 */
int picture_save(const json_t *bundle, const char *directory, char *path, size_t path_size, struct error *err);

#endif
