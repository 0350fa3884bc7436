/* The names and paths of files as clients write them, made into paths from the data folder. Pure logic. */
#ifndef HEARTH_API_FILE_PATH_H
#define HEARTH_API_FILE_PATH_H

#include "common/agent_protocol.h"
#include "common/error.h"

enum {
	FILE_PATH_SIZE = AGENT_FILE_PATH_MAX + 1,
};

/*
 * Appends `text` to the path in `out` ("" is the data folder). An absolute text means what it would in the guest if it is
 * in /mnt/data, and is taken from there if not; "." and empty parts vanish. 0, or -EINVAL with *err filled (the sentence
 * is for the client) for "..", control characters, a part of more than 255 bytes or a path of more than 4095; a `name`
 * must not be empty, be UTF-8 and is told of as one.
 */
int file_path_add_folder(char out[FILE_PATH_SIZE], const char *text, struct error *err);
int file_path_add_name(char out[FILE_PATH_SIZE], const char *text, struct error *err);

/* The last part of a path. */
const char *file_path_name(const char *path);

/* The media type that the name's ending says, as clients expect it: "text/plain; charset=utf-8". */
const char *file_path_content_type(const char *path);

#endif
