/* `hearth logs`: reads hearthd's log. */
#ifndef HEARTH_API_CLI_LOGS_H
#define HEARTH_API_CLI_LOGS_H

#include "command.h"

extern const struct command logs_command;

#endif
