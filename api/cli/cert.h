/* `hearth cert`: certificates for trying and developing. Needs no service. */
#ifndef HEARTH_API_CLI_CERT_H
#define HEARTH_API_CLI_CERT_H

#include "options.h"

#include <stdio.h>

/* argv[0] is "cert". Returns the exit status. */
int cert_command(int argc, char **argv);

/* Of `hearth cert init`, its only command. */
extern const struct option_spec cert_init_options[];

void cert_print_help(FILE *out);

#endif
