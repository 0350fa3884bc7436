/* One line of the flat part of TOML: `key = value`, a comment, or nothing. */
#ifndef HEARTH_API_TOML_H
#define HEARTH_API_TOML_H

#include "common/error.h"

#include <stdbool.h>
#include <stdint.h>

enum toml_type { TOML_NOTHING, TOML_STRING, TOML_INTEGER, TOML_BOOLEAN };

struct toml_line {
	enum toml_type type; /* of the value; TOML_NOTHING if the line sets nothing */
	char key[64];
	char text[4096]; /* TOML_STRING */
	int64_t integer;
	bool boolean;
};

/* `line` ends with NUL and has no line feed. 0 or negative with *err filled (without the line's number). */
int toml_parse_line(const char *line, struct toml_line *parsed, struct error *err);

/* Told each line that sets something. 0, or negative with *err filled, which ends the reading. */
typedef int (*toml_take)(void *data, const struct toml_line *line, struct error *err);

/* Reads a whole text; errors begin with `name` and the line's number. 0 or negative with *err filled. */
int toml_parse(const char *text, const char *name, toml_take take, void *data, struct error *err);

/* Reads a file of less than 64 KiB, likewise; one that is not there is as one without lines, unless it must exist. */
int toml_read_file(const char *path, bool must_exist, toml_take take, void *data, struct error *err);

#endif
