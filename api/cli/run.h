/* `hearth run`. */
#ifndef HEARTH_API_CLI_RUN_H
#define HEARTH_API_CLI_RUN_H

#include "options.h"

extern const char run_help[];
extern const struct option_spec run_options[];

/* argv[0] is "run". Returns the exit status. */
int run_command(int argc, char **argv);

#endif
