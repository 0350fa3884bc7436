/* `hearth cert`: certificates for trying and developing. Needs no service. */
#ifndef HEARTH_API_CLI_CERT_H
#define HEARTH_API_CLI_CERT_H

#include "command.h"

extern const struct command_group cert_commands;

#endif
