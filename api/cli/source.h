/* One piece of code to run: from a file, the command line or standard input. */
#ifndef HEARTH_API_CLI_SOURCE_H
#define HEARTH_API_CLI_SOURCE_H

#include "buffer.h"
#include "common/error.h"

#include <stdbool.h>

enum {
	SOURCE_CODE_MAX = 8 << 20, /* bytes; the service takes no more */
};

struct source {
	const char *name;     /* for messages: the file's path, "-c" or "standard input" */
	const char *language; /* "python", "node" or "shell", static; NULL: the one of the pool */
	struct buffer code;   /* UTF-8 */
};

/* Each fills *s, or sets *err (STATUS_USAGE) and returns negative. `language` NULL means: find out. */
int source_from_file(struct source *s, const char *path, const char *language, struct error *err);
int source_from_text(struct source *s, const char *text, const char *language, struct error *err);
int source_from_stdin(struct source *s, const char *language, struct error *err);

void source_fini(struct source *s);

/* "python", "node" or "shell" from a file name's extension, or NULL. */
const char *source_language_of_name(const char *name);

/* "python", "node" or "shell" from a #! line at the start of the code, or NULL. */
const char *source_language_of_shebang(const char *code, size_t size);

/* The offset of the first byte that is not part of well-formed UTF-8 (RFC 3629), or `size` if there is none. */
size_t source_utf8_length(const char *text, size_t size);

#endif
