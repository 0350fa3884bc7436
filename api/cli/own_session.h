/* The session of a command that was told no name of one: it begins and ends with the command. */
#ifndef HEARTH_API_CLI_OWN_SESSION_H
#define HEARTH_API_CLI_OWN_SESSION_H

#include "common/error.h"

enum { OWN_SESSION_SIZE = 32 };

/* A name that nobody else has. 0, or negative with *err set. */
int own_session_name(char name[OWN_SESSION_SIZE], struct error *err);

#endif
