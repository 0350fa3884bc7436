/* `hearth session code-interpreter`: the files of a session, by the commands and options of az. */
#ifndef HEARTH_API_CLI_SESSION_FILES_H
#define HEARTH_API_CLI_SESSION_FILES_H

#include "command.h"

extern const struct command_group session_files_commands;

#endif
