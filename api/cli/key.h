/* `hearth key`: API keys. */
#ifndef HEARTH_API_CLI_KEY_H
#define HEARTH_API_CLI_KEY_H

#include "command.h"

extern const struct command_group key_commands;

#endif
