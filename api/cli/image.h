/* hearth image: container images, imported and kept on this machine. */
#ifndef HEARTH_API_CLI_IMAGE_H
#define HEARTH_API_CLI_IMAGE_H

#include "command.h"

extern const struct command_group image_commands;

#endif
