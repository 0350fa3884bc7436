/* `hearth usage`: what sessions have used. */
#ifndef HEARTH_API_CLI_USAGE_H
#define HEARTH_API_CLI_USAGE_H

#include "command.h"

extern const struct command usage_command;

#endif
