/* The bearer token that the command shows to the service. */
#ifndef HEARTH_API_CLI_TOKEN_H
#define HEARTH_API_CLI_TOKEN_H

#include "common/error.h"

enum {
	TOKEN_SIZE_MAX = 8192, /* bytes with the NUL; a header line of hearthd's takes no more */
};

/*
 * Finds it, first match: `given` (from --token, may be NULL), $HEARTH_TOKEN, the file $HEARTH_TOKEN_FILE, the file
 * `token` beside this executable, the file $HEARTH_HOME/token. Empty if there is none: a service may ask for none.
 * 0, or negative with *err set.
 */
int token_find(const char *given, char token[TOKEN_SIZE_MAX], struct error *err);

#endif
