/* `hearth bench`. */
#ifndef HEARTH_API_CLI_BENCH_H
#define HEARTH_API_CLI_BENCH_H

/* argv[0] is "bench"; what follows goes to the benchmark as it is. Returns the exit status if that cannot be started. */
int bench_command(int argc, char **argv);

#endif
