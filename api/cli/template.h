/* `hearth template`: sessions kept as the beginning of others. */
#ifndef HEARTH_API_CLI_TEMPLATE_H
#define HEARTH_API_CLI_TEMPLATE_H

#include "command.h"

extern const struct command_group template_commands;

#endif
