/* hearth notebook: runs notebooks cell by cell. */
#ifndef HEARTH_API_CLI_NOTEBOOK_H
#define HEARTH_API_CLI_NOTEBOOK_H

#include "command.h"

extern const struct command_group notebook_commands;

#endif
