/* `hearth run`. */
#ifndef HEARTH_API_CLI_RUN_H
#define HEARTH_API_CLI_RUN_H

extern const char run_help[];

/* argv[0] is "run". Returns the exit status. */
int run_command(int argc, char **argv);

#endif
