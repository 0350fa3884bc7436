/* `hearth session`: the sessions of a pool. */
#ifndef HEARTH_API_CLI_SESSION_H
#define HEARTH_API_CLI_SESSION_H

#include "command.h"

extern const struct command_group session_commands;

#endif
