/* `hearth sessionpool`: the pools, with the words of `az containerapp sessionpool`. */
#ifndef HEARTH_API_CLI_SESSIONPOOL_H
#define HEARTH_API_CLI_SESSIONPOOL_H

#include "command.h"

extern const struct command_group sessionpool_commands;

#endif
