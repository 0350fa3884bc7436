/* Names of images: registry.example:5000/team/app:1.2, as tools for containers write them. */
#ifndef HEARTH_API_IMAGE_IMAGE_NAME_H
#define HEARTH_API_IMAGE_IMAGE_NAME_H

#include "common/error.h"

#include <stdbool.h>

enum {
	IMAGE_NAME_SIZE = 201, /* with its NUL */
	IMAGE_FILE_SIZE = 3 * IMAGE_NAME_SIZE + 5,
};

/* Copies a name, with ":latest" where it has neither tag nor digest. 0, or negative with *err set if it is none. */
int image_name_normalize(const char *given, char name[IMAGE_NAME_SIZE], struct error *err);

/* The name of the file, in one folder with all others, that keeps what is known of the image. */
void image_name_to_file(const char *name, char file[IMAGE_FILE_SIZE]);

#endif
